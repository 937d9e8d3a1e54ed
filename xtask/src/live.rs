//! One real server on a free port, stopped whatever happens to us.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Context, Failure, Result};
use crate::tree;

const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the server and stops it when our end of its standard input goes, even when we are killed.
const SUPERVISOR: &str =
    r#"trap '' INT; "$@" </dev/null & server=$!; cat >/dev/null; kill "$server"; wait "$server""#;

/// A running server.
pub(crate) struct Live {
    address: SocketAddr,
    supervisor: Child,
    leash: Option<ChildStdin>,
}

impl Live {
    /// Starts `server` with nothing persisted and waits for its first answer.
    pub(crate) fn start(server: &Path) -> Result<Self> {
        let folder = tree::target().join("servers/data");
        fs::create_dir_all(&folder).context("make target/servers/data")?;
        let address = free_address()?;
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(server)
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context(format!("start {}", server.display()))?;
        let leash = supervisor.stdin.take();
        let live = Live { address, supervisor, leash };
        live.wait_until_it_answers(server)?;
        Ok(live)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    fn wait_until_it_answers(&self, server: &Path) -> Result {
        let deadline = Instant::now() + PATIENCE;
        while !answers(self.address) {
            if Instant::now() > deadline {
                let path = server.display();
                return Err(Failure(format!(
                    "{path} did not answer on {}: does `{path}` start by hand?",
                    self.address
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.supervisor.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    listener.local_addr().context("find a free port")
}

fn answers(address: SocketAddr) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut link = TcpStream::connect(address)?;
        link.set_read_timeout(Some(Duration::from_secs(1)))?;
        link.write_all(b"PING\r\n")?;
        let mut reply = [0; 5];
        link.read_exact(&mut reply)?;
        Ok(&reply == b"+PONG")
    };
    ping().unwrap_or(false)
}
