//! Records what one RTMP encoder sends, from the first byte to the last, as in `crates/rtmp/testdata`:
//!
//! ```text
//! cargo run -p sluicegate-intake --example record_rtmp -- out.bin 19350 &
//! ffmpeg -f lavfi -i testsrc=size=160x90:rate=10:duration=1 -c:v libx264 -f flv rtmp://127.0.0.1:19350/live/key
//! ```
//!
//! Port 0 lets the system choose; the address is printed.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::TcpListener,
    time::Instant,
};

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(file), Some(port)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: record_rtmp <file> <port>");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;

    let (mut recorded, mut buffer) = (Vec::new(), [0; 4096]);
    let mut session = rtmp::Session::new(Instant::now());
    loop {
        // An encoder that is killed resets the connection: an end like any other.
        let count = stream.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            break;
        }
        recorded.extend_from_slice(&buffer[..count]);
        let taken = session.handle_input(Instant::now(), &buffer[..count]);
        while let Some(event) = session.poll_event() {
            if let rtmp::Event::Publish(publish) = event {
                println!("{publish:?}");
                session.accept(Instant::now());
            }
        }
        while let Some(bytes) = session.poll_output() {
            // The same.
            let _ = stream.write_all(&bytes);
        }
        if let Err(error) = taken {
            println!("{error}");
            break;
        }
    }
    println!("{} bytes", recorded.len());
    fs::write(file, recorded)
}
