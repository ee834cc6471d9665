//! The loop: what the kernel tells, what the engine says, signals, the command, the clock.

use std::{pin::pin, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{process::Child, time};

use super::recorder::Record;
use crate::{
    cli::{
        forward_signals,
        watch::{self, ViewRequest},
    },
    launch::Signals,
    live::view::Action,
};

/// How often a checkpoint is written while something is new, and how often ended targets are looked for.
const TICK: Duration = Duration::from_secs(1);

/// How often the live view is told what has become of the containers.
const FACTS: Duration = Duration::from_millis(250);

/// The loop and its command.
pub struct EventLoop<'r, 'a> {
    record: &'r mut Record<'a>,
    child: Option<Child>,
}

impl<'r, 'a> EventLoop<'r, 'a> {
    /// Before its first turn.
    pub fn new(record: &'r mut Record<'a>, child: Option<Child>) -> Self {
        Self { record, child }
    }

    /// The command's exit code, where there is one. Outer None: quit at once.
    pub async fn until_the_end(mut self, signals: &mut Signals) -> Result<Option<Option<u8>>> {
        let mut tick = time::interval(TICK);
        let mut facts = time::interval(FACTS);
        let mut interrupts = forward_signals::Interrupts::default();
        let mut over = pin!(time::sleep(self.record.args.trace.duration.unwrap_or(Duration::MAX)));
        let mut is_over = false;
        self.record.tally.turn();
        loop {
            tokio::select! {
                () = self.record.session.wait() => self.record.take_all_news()?,
                (engine, said) = self.record.engines.next() => self.record.handle_engine_message(engine, said)?,
                status = ended(&mut self.child) => return Ok(Some(Some(status?))),
                signal = signals.next() => {
                    if interrupts.is_second(signal) {
                        return Ok(None);
                    }
                    match &self.child {
                        Some(child) => forward_signals::pass_on(child, signal),
                        None if signal.is_termination() => return Ok(Some(None)),
                        None => {}
                    }
                }
                () = &mut over, if !is_over => {
                    is_over = true;
                    match &self.child {
                        Some(child) => forward_signals::terminate(child),
                        None => return Ok(Some(None)),
                    }
                }
                wish = watch::next(&mut self.record.watch) => match (wish, &self.child) {
                    (ViewRequest::Key(Action::End), Some(child)) => {
                        forward_signals::terminate_group(child);
                        self.record.printer.note("COMMAND is asked to end; Ctrl-C twice quits at once");
                    }
                    (ViewRequest::Key(Action::Interrupt), Some(_)) if interrupts.is_second_interrupt() => return Ok(None),
                    (ViewRequest::Key(Action::Interrupt), Some(child)) => forward_signals::interrupt_group(child),
                    (ViewRequest::Key(Action::End | Action::Interrupt), None) => return Ok(Some(None)),
                    (ViewRequest::Key(Action::Write(id)), _) => self.record.write_now(id)?,
                    (ViewRequest::Key(Action::Choose(id)), _) => self.record.choose(id)?,
                    (ViewRequest::Key(Action::Suspend), _) => {}
                    (ViewRequest::Measured, _) => self.record.measured(),
                },
                _ = facts.tick(), if self.record.watch.is_some() => self.record.tell_facts(),
                _ = tick.tick() => {
                    self.record.checkpoint()?;
                    self.record.tick_watch()?;
                    if self.child.is_none() && self.record.is_all_over() {
                        return Ok(Some(None));
                    }
                }
            }
            self.record.tally.turn();
        }
    }
}

async fn ended(child: &mut Option<Child>) -> Result<u8> {
    match child {
        Some(child) => child.wait().await.map(forward_signals::exit_code).context("can't wait for COMMAND"),
        None => std::future::pending().await,
    }
}

impl Record<'_> {
    /// Keeps what is new.
    fn checkpoint(&mut self) -> Result<()> {
        for (recording, plan) in self.groups.changed(&mut self.session)? {
            plan.write_checkpoint(&recording, self.printer);
        }
        let unasked = self.known.iter().filter(|(id, known)| !id.starts_with('/') && known.needs_lookup());
        let unasked: Vec<_> = unasked.map(|(id, _)| id.clone()).collect();
        unasked.iter().for_each(|id| self.ask(id));
        Ok(())
    }
}
