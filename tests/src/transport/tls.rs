//! TLS over TCP for tokio, by rustls.

use super::Clock;
use redwire_core::time::Instant;
use redwire_core::transport::Transport;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A [`Transport`] that checks the server's certificate against its host name.
pub struct Tls {
    host: String,
    port: u16,
    connector: TlsConnector,
    stream: Stream,
    clock: Clock,
    sleep: Option<(Instant, Pin<Box<Sleep>>)>,
}

enum Stream {
    Closed,
    Opening(Pin<Box<dyn Future<Output = io::Result<TlsStream<TcpStream>>> + Send>>),
    Open(Box<TlsStream<TcpStream>>),
}

impl Tls {
    /// Makes a transport to `host` that trusts the certificates in `authorities`, which are PEM; opens nothing.
    pub fn new(host: &str, port: u16, authorities: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            host: host.into(),
            port,
            connector: TlsConnector::from(Arc::new(config)),
            stream: Stream::Closed,
            clock: Clock,
            sleep: None,
        })
    }

    fn open(&mut self) -> Pin<&mut TlsStream<TcpStream>> {
        match &mut self.stream {
            Stream::Open(stream) => Pin::new(stream),
            Stream::Closed | Stream::Opening(_) => unreachable!("the driver uses open streams only"),
        }
    }
}

async fn connect(connector: TlsConnector, host: String, port: u16) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect((host.as_str(), port)).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    connector.connect(name, socket).await
}

impl Transport for Tls {
    type Error = io::Error;

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Stream::Closed = self.stream {
            let attempt = connect(self.connector.clone(), self.host.clone(), self.port);
            self.stream = Stream::Opening(Box::pin(attempt));
        }
        let Stream::Opening(attempt) = &mut self.stream else { return Poll::Ready(Ok(())) };
        attempt.as_mut().poll(cx).map(|result| {
            let (stream, result) = match result {
                Ok(stream) => (Stream::Open(Box::new(stream)), Ok(())),
                Err(error) => (Stream::Closed, Err(error)),
            };
            self.stream = stream;
            result
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        self.open().poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.open().poll_write(cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open().poll_flush(cx)
    }

    fn close(&mut self) {
        self.stream = Stream::Closed;
    }

    fn is_secure(&self) -> bool {
        true
    }

    fn another(&self) -> Option<Self> {
        Some(Self {
            host: self.host.clone(),
            port: self.port,
            connector: self.connector.clone(),
            stream: Stream::Closed,
            clock: self.clock,
            sleep: None,
        })
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let left = Duration::from_millis(until.0.saturating_sub(self.now().0));
        if left.is_zero() {
            self.sleep = None;
            return Poll::Ready(());
        }
        if self.sleep.as_ref().is_none_or(|(deadline, _)| *deadline != until) {
            self.sleep = Some((until, Box::pin(tokio::time::sleep(left))));
        }
        let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
        sleep.as_mut().poll(cx).map(|()| self.sleep = None)
    }
}
