//! Takes whoever publishes over WHIP and throws away what comes, to measure what taking it costs.
//!
//! ```text
//! cargo run -p sluicegate-intake --example whip_sink -- 127.0.0.1:8080
//! ```
//!
//! Once in 2 s a line: packets, Mbit/s, and what the process used of a core since the line before (user, system).
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sluicegate_intake::whip::{Address, Call, Event, Listener, Media, Mode, Options};

const EVERY: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Total {
    packets: AtomicU64,
    bytes: AtomicU64,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let http: SocketAddr = std::env::args().nth(1).ok_or("whip_sink <address:port>")?.parse()?;
    let addresses = vec![Address { bind: http.ip(), advertise: http.ip() }];
    let media = Media { addresses, tcp_port: Some(0), ..Media::default() };
    let mut listener = Listener::bind(Options { http: Some(http), media, ..Options::default() }).await?;
    let total = Arc::new(Total::default());
    tokio::spawn(report(total.clone()));
    let mut count = 0;
    while let Some(call) = listener.accept().await {
        let Call::Publish(request) = call else { continue };
        count += 1;
        let total = total.clone();
        tokio::spawn(async move {
            let Ok(mut publisher) = request.accept(format!("WH_{count}"), Mode::Packets).await else {
                return;
            };
            while let Some(event) = publisher.recv().await {
                match event {
                    Event::Packet(_, packet) => {
                        total.packets.fetch_add(1, Ordering::Relaxed);
                        total.bytes.fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
                    }
                    Event::Ended(why) => println!("ended: {why}"),
                    _ => {}
                }
            }
        });
    }
    Ok(())
}

async fn report(total: Arc<Total>) {
    let mut before = (0, 0, (0, 0));
    loop {
        tokio::time::sleep(EVERY).await;
        let packets = total.packets.load(Ordering::Relaxed);
        let (bytes, cpu) = (total.bytes.load(Ordering::Relaxed), used().unwrap_or_default());
        let seconds = EVERY.as_secs_f64();
        println!(
            "{:.0} packets/s, {:.1} Mbit/s, core: {:.3} user, {:.3} system",
            (packets - before.0) as f64 / seconds,
            (bytes - before.1) as f64 * 8.0 / 1e6 / seconds,
            (cpu.0 - before.2.0) as f64 / 100.0 / seconds,
            (cpu.1 - before.2.1) as f64 / 100.0 / seconds,
        );
        before = (packets, bytes, cpu);
    }
}

/// User and system time in hundredths of a second (proc(5), `/proc/self/stat`).
fn used() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
