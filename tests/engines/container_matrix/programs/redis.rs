//! redis-server under redis-benchmark, which runs in a container of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use super::{Outcome, Program};
use crate::container_matrix::command;
use crate::container_matrix::container::{Container, Start};

/// It writes each change to its log at once: "every second" would come in some runs only.
pub static REDIS: Program = Program {
    name: "redis-server",
    options: &[],
    argv: &[
        "redis-server",
        "--bind",
        "0.0.0.0",
        "--protected-mode",
        "no",
        "--dir",
        "/tmp",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ],
    exercise,
    needs: ["listen", "fdatasync", "rename"],
    recorded: OnceLock::new(),
};

/// Each of the kinds of values, expiry, a script, a transaction, errors.
const COMMANDS: [&str; 22] = [
    "PING",
    "SET greeting hello",
    "APPEND greeting !",
    "GET greeting",
    "GETRANGE greeting 1 3",
    "INCRBY number 41",
    "INCR number",
    "INCR greeting",
    "RPUSH list a b c",
    "LRANGE list 0 -1",
    "HSET hash field value",
    "HGETALL hash",
    "ZADD sorted 2 two 1 one",
    "ZRANGE sorted 0 -1",
    "XADD stream 1-1 field value",
    "EXPIRE greeting 1000",
    "EVAL return{KEYS[1],1+1} 1 greeting",
    "MULTI",
    "DEL list",
    "EXEC",
    "MEMORY PURGE",
    "NOSUCHCOMMAND",
];

fn exercise(container: &Container) -> Result<Outcome> {
    let server = container.serving(6379)?;
    let mut client = Client::connect(server, container)?;
    let mut output = Vec::new();
    for command in COMMANDS {
        output.extend(client.ask(command)?);
    }
    benchmark(container, server)?;
    // The keys are random, the number of them and the counter's sum are not.
    for command in ["LLEN mylist", "GET counter:__rand_int__", "DBSIZE", "FLUSHDB ASYNC", "SET kept value"] {
        output.extend(client.ask(command)?);
    }
    for (command, running, status) in [
        ("BGSAVE", "rdb_bgsave_in_progress:1", "rdb_last_bgsave_status"),
        ("BGREWRITEAOF", "aof_rewrite_in_progress:1", "aof_last_bgrewrite_status"),
    ] {
        output.extend(client.ask(command)?);
        let info = command::until(container.patience, &format!("the end of {command}"), || {
            let info = String::from_utf8_lossy(&client.ask("INFO persistence")?).into_owned();
            Ok((!info.contains(running)).then_some(info))
        })?;
        output.extend(
            info.lines().filter(|line| line.starts_with(status)).flat_map(|line| line.bytes().chain(*b"\n")),
        );
    }
    client.send("SHUTDOWN SAVE")?;
    Ok(Outcome { exit: container.wait()?, output })
}

/// redis-benchmark from outside the container, so that none of its calls are the server's.
fn benchmark(container: &Container, server: SocketAddr) -> Result<()> {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    let argv = ["redis-benchmark", "-h", &host, "-p", &port, "-q", "-n", "1000", "-c", "20", "-P", "4"];
    let tests = ["-t", "set,get,incr,lpush"];
    let client = Container::start(Start::default(), &[&argv[..], &tests].concat(), container.patience)?;
    match client.wait()? {
        0 => Ok(()),
        status => bail!("redis-benchmark ended with {status}{}", client.last_words()),
    }
}

/// One connection, in Redis' own protocol.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: SocketAddr, container: &Container) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, container.patience)?;
        stream.set_read_timeout(Some(container.patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, command: &str) -> Result<()> {
        let words: Vec<&str> = command.split(' ').collect();
        let mut message = format!("*{}\r\n", words.len());
        for word in words {
            message.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        Ok(self.0.get_mut().write_all(message.as_bytes())?)
    }

    /// Sends a command and gives its answer as it came.
    fn ask(&mut self, command: &str) -> Result<Vec<u8>> {
        self.send(command)?;
        let mut answer = Vec::new();
        self.answer(&mut answer).with_context(|| format!("no answer to {command}"))?;
        Ok(answer)
    }

    fn answer(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        into.extend(line.as_bytes());
        let (kind, count) = (line.chars().next(), line.get(1..).unwrap_or("").trim().parse::<i64>());
        match (kind, count) {
            (Some('$'), Ok(length @ 0..)) => {
                let mut bytes = vec![0; usize::try_from(length)? + 2];
                self.0.read_exact(&mut bytes)?;
                into.extend(bytes);
                Ok(())
            }
            (Some('*'), Ok(items)) => (0..items).try_for_each(|_| self.answer(into)),
            _ => Ok(()),
        }
    }
}
