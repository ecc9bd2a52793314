//! A small echo service, and a client that calls it.
//!
//! ```sh
//! redis-server --port 6379 &
//! cargo run -p sluicegate-psrpc --example echo -- server 127.0.0.1:6379    # as many as you like
//! cargo run -p sluicegate-psrpc --example echo -- client 127.0.0.1:6379 "hello"
//! ```

use psrpc::{Bus, Client, Code, Config, Error, Metadata, Method, Options, Server};

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// Any one of the servers answers.
const SAY: Method = Method { queue: true, claim: true, ..Method::new("Echo", "Say") };
/// All of them answer.
const WHO: Method = Method { multi: true, ..Method::new("Echo", "Who") };

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["server", address] => serve(Bus::connect(Config::single(*address)).await?).await,
        ["client", address, text] => ask(Bus::connect(Config::single(*address)).await?, text).await,
        _ => Err("usage: echo server <host:port> | echo client <host:port> <text>".into()),
    }
}

async fn serve(bus: Bus) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new(&bus, "Echo");
    let say = server.register(&SAY, &[], say, |_| 1.0).await?;
    let id = server.id().to_owned();
    let who = move |_: Text, _: Metadata| {
        let reply = Text { text: id.clone() };
        async move { Ok(reply) }
    };
    let who = server.register(&WHO, &[], who, |_| 1.0).await?;
    println!("{} serves until Ctrl-C", server.id());
    tokio::signal::ctrl_c().await?;
    // Let the handlers that run answer, then go.
    tokio::join!(say.close(), who.close());
    bus.close().await;
    Ok(())
}

async fn say(request: Text, metadata: Metadata) -> Result<Text, Error> {
    if request.text.is_empty() {
        return Err(Error::new(Code::InvalidArgument, "nothing to say"));
    }
    println!("{} says {:?}", metadata.client_id, request.text);
    Ok(request)
}

async fn ask(bus: Bus, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(&bus, "Echo").await?;
    let mut servers = client.call_multi::<_, Text>(&WHO, &[], &Text::default(), Options::default()).await?;
    while let Some((id, reply)) = servers.next().await {
        println!("there is {id}: {}", reply.is_ok());
    }
    let request = Text { text: text.to_owned() };
    match client.call::<_, Text>(&SAY, &[], &request, Options::default()).await {
        Ok(reply) => println!("{}", reply.text),
        Err(error) if error.code == Code::Unavailable => println!("nobody serves it: {error}"),
        Err(error) => return Err(error.into()),
    }
    bus.close().await;
    Ok(())
}
