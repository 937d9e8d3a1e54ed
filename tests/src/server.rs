//! Real servers for the suites.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brand {
    /// `redis-server`, from `REDWIRE_REDIS` or `PATH`.
    Redis,
    /// `valkey-server`, from `REDWIRE_VALKEY`.
    Valkey,
    /// A newer `redis-server`, from `REDWIRE_REDIS82`.
    Redis82,
    /// A `redis-server` with its modules, from `REDWIRE_STACK`.
    Stack,
}

/// A server that runs until this is dropped.
pub struct Server {
    // dropped in this order
    _process: Process,
    folder: Arc<Folder>,
    port: u16,
    tls: u16,
    _gate: Option<oneshot::Sender<()>>,
}

/// Gives the file `name` of the TLS fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls").join(name)
}

impl Server {
    /// Gives the server of `brand` that tests running at the same time share; `None` when it is missing and may be.
    ///
    /// # Panics
    /// When the server is missing otherwise, or does not start.
    pub fn shared(brand: Brand) -> Option<Arc<Self>> {
        static RUNNING: Mutex<[Weak<Server>; 4]> = Mutex::new([const { Weak::new() }; 4]);
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut running[brand as usize];
        let server = place.upgrade().or_else(|| Self::own(brand).map(Arc::new))?;
        *place = Arc::downgrade(&server);
        Some(server)
    }

    /// Gives a server of `brand` that is nobody else's; `None` when it is missing and may be.
    ///
    /// # Panics
    /// Likewise.
    pub fn own(brand: Brand) -> Option<Self> {
        let program = brand.program()?;
        let server = Self::start(brand, &program);
        Some(server.unwrap_or_else(|error| unreachable!("{} did not start: {error}", program.display())))
    }

    /// Gives where it listens for plain TCP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Gives its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.0.join("socket")
    }

    /// Gives the port where it listens for TLS, as `localhost`.
    pub fn tls_port(&self) -> u16 {
        self.tls
    }

    fn start(brand: Brand, program: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("redwire-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let folder = Arc::new(Folder(folder));
        // between choosing a port and listening on it somebody else may take it
        let mut last = ErrorKind::AddrInUse.into();
        for _ in 0..4 {
            match Self::attempt(brand, program, &folder) {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn attempt(brand: Brand, program: &Path, folder: &Arc<Folder>) -> io::Result<Self> {
        let [port, tls] = free_ports()?;
        let mut command = Command::new(program);
        command.current_dir(&folder.0).stdout(Stdio::piped()).stdin(Stdio::null());
        command.args([
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]);
        command.arg("--unixsocket").arg(folder.0.join("socket"));
        if brand == Brand::Redis {
            command.args(["--tls-auth-clients", "no", "--tls-port", &tls.to_string()]);
            for (option, file) in [
                ("--tls-cert-file", "server.crt"),
                ("--tls-key-file", "server.key"),
                ("--tls-ca-cert-file", "ca.crt"),
            ] {
                command.arg(option).arg(fixture(file));
            }
        }
        let mut process = Process(command.spawn()?);
        let output = process.0.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        let mut told = Vec::new();
        for line in output {
            let line = line?;
            if line.to_lowercase().contains("ready to accept connections") {
                let (tls, gate) = match brand {
                    Brand::Redis => (tls, None),
                    Brand::Valkey | Brand::Redis82 | Brand::Stack => {
                        gate(port).map(|(port, gate)| (port, Some(gate)))?
                    }
                };
                return Ok(Self { _process: process, folder: folder.clone(), port, tls, _gate: gate });
            }
            told.push(line);
        }
        Err(io::Error::other(told.join("\n")))
    }
}

/// A process that lives as long as this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that lives as long as this.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // what cannot be removed is the system's to tidy away
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Brand {
    fn program(self) -> Option<PathBuf> {
        let (variable, name) = match self {
            Self::Redis => ("REDWIRE_REDIS", "redis-server"),
            Self::Valkey => ("REDWIRE_VALKEY", "valkey-server"),
            Self::Redis82 => ("REDWIRE_REDIS82", "redis-server"),
            Self::Stack => ("REDWIRE_STACK", "redis-server with modules"),
        };
        let named = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        let found = match self {
            Self::Redis => named.or_else(|| on_path(name)),
            Self::Valkey | Self::Redis82 | Self::Stack => named,
        };
        if found.is_none() {
            let allowed = env::var_os("REDWIRE_ALLOW_MISSING") == Some(OsString::from("1"));
            assert!(
                allowed,
                "no {name}: set {variable} to its path, or REDWIRE_ALLOW_MISSING=1 to go without; `cargo xtask test` brings it"
            );
            eprintln!("skipped: {variable} names no {name}, and REDWIRE_ALLOW_MISSING is 1");
        }
        found
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Ends TLS in front of a server that has none, until what it gives is dropped.
fn gate(target: u16) -> io::Result<(u16, oneshot::Sender<()>)> {
    let chain = CertificateDer::pem_file_iter(fixture("server.crt")).map_err(io::Error::other)?;
    let chain = chain.collect::<Result<_, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).map_err(io::Error::other)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let acceptor = TlsAcceptor::from(Arc::new(config.map_err(io::Error::other)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let (open, closed) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async move {
            tokio::spawn(serve(listener, acceptor, target));
            let _ = closed.await;
        });
    });
    Ok((port, open))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, target: u16) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (outside, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut outside = acceptor.accept(outside).await?;
            let mut inside = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
