//! The picture on a terminal: taken, drawn, read from and given back. It has a thread of its own, so that keys are answered
//! however busy the session is.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    os::fd::AsFd,
    panic,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anstream::{AutoStream, ColorChoice};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, event, queue,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use signal_hook::{
    consts::{SIGCONT, SIGTSTP},
    flag, low_level,
};

use super::{
    draw::{About, Theme, draw},
    model::Model,
    view::{Action, View},
};

/// What is known, shared by who traces and who draws.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Model>>);

impl Shared {
    /// Shares it.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self(Arc::new(Mutex::new(model)))
    }

    /// To look at it, or to tell it something. Held for as long as it takes to make a picture, never while a terminal is
    /// written to.
    pub fn lock(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream that has the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Where it is nobody else's.
    Stdout,
    /// Else.
    Stderr,
}

impl Stream {
    /// Does a person look at it, on a terminal that can do more than print?
    #[must_use]
    pub fn is_screen(self) -> bool {
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        };
        is_terminal && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
    }

    /// Does its user want colours?
    #[must_use]
    pub fn has_color(self, choice: ColorChoice) -> bool {
        let choice = match (choice, self) {
            (ColorChoice::Auto, Self::Stdout) => AutoStream::choice(&io::stdout()),
            (ColorChoice::Auto, Self::Stderr) => AutoStream::choice(&io::stderr()),
            (choice, _) => choice,
        };
        choice != ColorChoice::Never
    }

    /// A handle of its own.
    ///
    /// # Errors
    /// Where it is closed.
    pub fn open(self) -> io::Result<File> {
        let stream = match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
        };
        Ok(stream.into())
    }
}

/// What is new is drawn so often at most.
const FRAME: Duration = Duration::from_millis(200);
/// What keys do is drawn at once, but not more often than this.
const KEYS: Duration = Duration::from_millis(30);
/// How long we sleep where no key comes: until the end is noticed.
const NAP: Duration = Duration::from_millis(50);

/// How long the terminal may take for the last picture.
const PATIENCE: Duration = Duration::from_secs(1);

/// The terminal, as long as it is ours. Dropped, it is as it was.
#[derive(Debug)]
pub struct Screen {
    end: Arc<AtomicBool>,
    /// Closed when its thread has ended.
    ended: Receiver<()>,
}

impl Screen {
    /// Takes the terminal. What keys ask of the session goes to `ask`.
    ///
    /// # Errors
    /// Where the terminal can't be used so.
    pub fn open(
        stream: Stream,
        shared: Shared,
        view: View,
        about: About,
        look: Theme,
        ask: impl Fn(Action) + Send + 'static,
    ) -> io::Result<Self> {
        restore_on_panic();
        let end = Arc::new(AtomicBool::new(false));
        let continued = Arc::new(AtomicBool::new(false));
        flag::register(SIGCONT, Arc::clone(&continued))?;
        let backend = CrosstermBackend::new(BufWriter::new(Taken(stream.open()?)));
        enter(stream)?;
        let terminal = Terminal::new(backend).inspect_err(|_| leave())?;
        let mut picture = Picture {
            stream,
            keys: Keyboard::open().inspect_err(|_| leave())?,
            terminal,
            shared,
            view,
            about,
            look,
            end: Arc::clone(&end),
            continued,
        };
        let (ending, ended) = channel();
        let thread = thread::Builder::new().name("screen".into()).spawn(move || {
            let _ending: Sender<()> = ending;
            // The terminal is gone, or can't be read: we trace on without it.
            let _ = picture.show(ask);
            leave();
        });
        thread.inspect_err(|_| leave())?;
        Ok(Self { end, ended })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        // A terminal that hangs must not hang us.
        let _ = self.ended.recv_timeout(PATIENCE);
        leave();
    }
}

/// Are there keys?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// Perhaps.
    There,
    /// The terminal is gone.
    Gone,
}

/// Where crossterm reads keys from. It must not be asked where the terminal is gone: it then reads for ever.
struct Keyboard(File);

impl Keyboard {
    fn open() -> io::Result<Self> {
        if io::stdin().is_terminal() {
            return Ok(Self(io::stdin().as_fd().try_clone_to_owned()?.into()));
        }
        Ok(Self(File::open("/dev/tty")?))
    }

    /// Until there are keys, but not longer than this.
    fn wait(&self, time: Duration) -> io::Result<Keys> {
        let mut keys = [PollFd::new(&self.0, PollFlags::IN)];
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut keys, Some(&time)) {
            Err(Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        Ok(if keys.iter().any(|keys| keys.revents().intersects(gone)) { Keys::Gone } else { Keys::There })
    }
}

struct Picture {
    stream: Stream,
    keys: Keyboard,
    terminal: Terminal<CrosstermBackend<BufWriter<Taken>>>,
    shared: Shared,
    view: View,
    about: About,
    look: Theme,
    end: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

impl Picture {
    fn show(&mut self, ask: impl Fn(Action)) -> io::Result<()> {
        let mut drawn = (Instant::now(), self.draw()?);
        let mut is_touched = false;
        while !self.end.load(Ordering::Relaxed) {
            // What a key did is drawn as soon as it may be.
            let nap = if is_touched { KEYS.saturating_sub(drawn.0.elapsed()) } else { NAP };
            if self.keys.wait(nap)? == Keys::Gone {
                return Ok(());
            }
            while event::poll(Duration::ZERO)? {
                is_touched = true;
                let event = event::read()?;
                let action = self.view.event(&event, &self.shared.lock());
                match action {
                    Some(Action::Suspend) => {
                        leave();
                        // This thread itself: it does not go on before it is continued.
                        low_level::raise(SIGTSTP)?;
                        self.continued.store(true, Ordering::Relaxed);
                    }
                    Some(action) => ask(action),
                    None => {}
                }
            }
            if self.continued.swap(false, Ordering::Relaxed) {
                // The shell has had the terminal meanwhile.
                leave();
                enter(self.stream)?;
                self.terminal.clear()?;
                is_touched = true;
            }
            let (at, revision) = drawn;
            let is_news = at.elapsed() >= FRAME && revision != self.shared.lock().revision;
            if is_news || (is_touched && at.elapsed() >= KEYS) {
                drawn = (Instant::now(), self.draw()?);
                is_touched = false;
            }
        }
        Ok(())
    }

    /// Returns the revision of what was drawn.
    fn draw(&mut self) -> io::Result<u64> {
        let Self { terminal, shared, view, about, look, .. } = self;
        let mut revision = 0;
        terminal.draw(|frame| {
            let model = shared.lock();
            revision = model.revision;
            draw(frame, view, &model, about, *look);
        })?;
        Ok(revision)
    }
}

/// Whose the terminal is: 0 nobody's, else a [`Stream`] and 1.
static TAKEN: AtomicU8 = AtomicU8::new(0);

/// Held while something is written to it.
static WRITING: Mutex<()> = Mutex::new(());

/// The terminal, for the picture: what comes after it was given back goes nowhere.
struct Taken(File);

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        if TAKEN.load(Ordering::SeqCst) == 0 { Ok(bytes.len()) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn enter(stream: Stream) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(stream as u8 + 1, Ordering::SeqCst);
    let mut bytes = Vec::new();
    queue!(
        bytes,
        EnterAlternateScreen,
        event::EnableMouseCapture,
        event::EnableBracketedPaste,
        cursor::Hide
    )?;
    send(stream, bytes).inspect_err(|_| leave())
}

/// Writes to a terminal, which may be stopped and take nothing: not for longer than [`PATIENCE`].
fn send(stream: Stream, bytes: Vec<u8>) -> io::Result<()> {
    let mut to = stream.open()?;
    let (tell, told) = channel();
    thread::Builder::new().spawn(move || tell.send(to.write_all(&bytes)))?;
    let sent = told.recv_timeout(PATIENCE);
    sent.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the terminal is stopped: it takes nothing"))
    })
}

/// Gives the terminal back, once.
fn leave() {
    let stream = match TAKEN.swap(0, Ordering::SeqCst) {
        0 => return,
        taken if taken == Stream::Stdout as u8 + 1 => Stream::Stdout,
        _ => Stream::Stderr,
    };
    // The picture's last bytes first; a terminal that hangs never takes them.
    let patience = Instant::now() + PATIENCE;
    while matches!(WRITING.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    let mut bytes = Vec::new();
    let _ = queue!(
        bytes,
        event::DisableBracketedPaste,
        event::DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = send(stream, bytes);
    let _ = disable_raw_mode();
}

/// A panic's message is to be read.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
}
