//! redwire on tokio, with TLS by rustls: `cargo run -p redwire-tests --example tokio_tls -- localhost 6380 tests/tls/ca.crt`
//!
//! The transport, which is all that redwire asks of a runtime, is `tests/src/transport/tls.rs`.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, authorities] = arguments.as_slice() else {
        return Err("expected a host, a port and a file of certificates to trust".into());
    };
    let authorities = std::fs::read(authorities)?;
    let transport = redwire_tests::transport::Tls::new(host, port.parse()?, &authorities)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(count(transport))
}

#[cfg(unix)]
async fn count(transport: redwire_tests::transport::Tls) -> Result<(), Box<dyn std::error::Error>> {
    use redwire_core::{client::Client, commands, connection::Config};

    let (redis, driver) = Client::secure(transport, Config::default())?;
    let driver = tokio::spawn(driver);
    let (count, last) = redis
        .execute((commands::incr("example:visits"), commands::set("example:last", "tokio").get().text()))
        .await?;
    println!("visit {count}; the one before was from {}", last.as_deref().unwrap_or("nobody"));
    drop(redis);
    driver.await?;
    Ok(())
}

#[cfg(not(unix))]
fn main() {}
