//! Pipelines against a real server, beside the crates `redis` and `fred`: a thousand GETs of 16 bytes in one go.

use fred::interfaces::{ClientLike, KeysInterface};
use redwire_benches::replies::{MANY, keys};
use redwire_benches::rounds::{Contestant, compete};
use redwire_benches::tcp::Tcp;
use redwire_core::client::Client;
use redwire_core::commands;
use redwire_core::connection::Config;
use redwire_tests::server::{Brand, Server};
use redwire_tests::transport::Socket;
use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use tokio::runtime::{Builder, Runtime};

const VALUE: &str = "0123456789abcdef";

fn main() -> Result<(), Box<dyn Error>> {
    let Some(server) = Server::shared(Brand::Redis) else { return Err("no redis-server".into()) };
    let address = server.address();
    let keys = keys();
    let url = format!("redis://{address}");

    let mut redis = redis::Client::open(url.as_str())?.get_connection()?;
    for key in &keys {
        redis::cmd("SET").arg(key).arg(VALUE).exec(&mut redis)?;
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut contestants = vec![
        blocking(address, &keys)?,
        Contestant {
            name: "redis",
            turn: Box::new(|| {
                let mut pipe = redis::pipe();
                for key in &keys {
                    pipe.get(key);
                }
                check(&pipe.query::<Vec<_>>(&mut redis).expect("it replies"));
            }),
        },
    ];
    compete("Blocking, pipelines of 1000 GET", MANY, &mut contestants, "redis");

    let mut contestants = vec![
        on_tokio(address, &keys, &runtime),
        redis_on_tokio(&url, &keys, &runtime)?,
        fred_on_tokio(&url, &keys, &runtime)?,
    ];
    compete("On tokio (one thread), pipelines of 1000 GET", MANY, &mut contestants, "redis");
    Ok(())
}

/// No contestant may win by wrong answers.
fn check(values: &[String]) {
    assert_eq!(values.len(), MANY);
    assert_eq!(values.last().map(String::as_str), Some(VALUE));
}

async fn pipeline(client: &Client, keys: &[String]) {
    let gets: Vec<_> = keys.iter().map(|key| commands::get(key.as_str()).text()).collect();
    let values = client.execute(gets).await.expect("it replies");
    assert_eq!(values.len(), MANY);
    assert_eq!(values.last(), Some(&Some(VALUE.to_owned())));
}

fn blocking(address: SocketAddr, keys: &[String]) -> Result<Contestant<'_>, Box<dyn Error>> {
    let (client, mut driver) = Client::new(Socket::new(address)?, Config::default());
    let turn = Box::new(move || driver.block_on(pipeline(&client, keys)).expect("a client is left"));
    Ok(Contestant { name: "redwire", turn })
}

fn on_tokio<'a>(address: SocketAddr, keys: &'a [String], runtime: &'a Runtime) -> Contestant<'a> {
    let (client, driver) = Client::new(Tcp::new(address), Config::default());
    drop(runtime.spawn(driver));
    Contestant { name: "redwire", turn: Box::new(move || runtime.block_on(pipeline(&client, keys))) }
}

fn redis_on_tokio<'a>(
    url: &str,
    keys: &'a [String],
    runtime: &'a Runtime,
) -> Result<Contestant<'a>, Box<dyn Error>> {
    let client = redis::Client::open(url)?;
    let link = RefCell::new(runtime.block_on(client.get_multiplexed_async_connection())?);
    let turn = Box::new(move || {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.get(key);
        }
        check(&runtime.block_on(pipe.query_async::<Vec<_>>(&mut *link.borrow_mut())).expect("it replies"));
    });
    Ok(Contestant { name: "redis", turn })
}

fn fred_on_tokio<'a>(
    url: &str,
    keys: &'a [String],
    runtime: &'a Runtime,
) -> Result<Contestant<'a>, Box<dyn Error>> {
    let client = fred::clients::Client::new(fred::types::config::Config::from_url(url)?, None, None, None);
    runtime.block_on(client.init())?;
    let turn = Box::new(move || {
        let values: Vec<String> = runtime.block_on(async {
            let pipeline = client.pipeline();
            for key in keys {
                let () = pipeline.get(key.as_str()).await.expect("it is queued");
            }
            pipeline.all().await.expect("it replies")
        });
        check(&values);
    });
    Ok(Contestant { name: "fred", turn })
}
