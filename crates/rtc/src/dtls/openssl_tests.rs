//! Real handshakes with OpenSSL and an RSA-2048 certificate, as GStreamer has one, over UDP on the loopback. Passed over where there
//! is no `openssl`.

use std::{
    io::{BufRead, BufReader},
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use str0m::crypto::dtls::SrtpProfile;

use super::tests::End;

const PATIENCE: Duration = Duration::from_secs(20);

/// Stopped when the test is over, however it ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let started = Command::new("openssl")
            .args(arguments)
            .args(["-cert", "cert.pem", "-key", "key.pem", "-dtls1_2"])
            .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen"])
            .arg(if arguments.contains(&"SRTP_AEAD_AES_128_GCM") { "56" } else { "60" })
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(started.unwrap())
    }

    /// What it says that it agreed upon.
    fn keying(&mut self) -> String {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let found = lines
            .map_while(Result::ok)
            .find_map(|line| line.trim().strip_prefix("Keying material: ").map(str::to_owned));
        found.unwrap()
    }
}

/// A certificate with an RSA key, in DER and in `folder`. `None` without `openssl`.
fn rsa(folder: &Path) -> Option<Vec<u8>> {
    let arguments = "req -x509 -newkey rsa:2048 -nodes -subj /CN=test -keyout key.pem -out cert.pem";
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().ok()?;
    assert!(made.status.success(), "{made:?}");
    let arguments = "x509 -in cert.pem -outform DER";
    let der = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().ok()?;
    Some(der.stdout)
}

/// Until it has connected, and what it has to send is sent.
fn run(end: &mut End, socket: &UdpSocket) {
    let start = Instant::now();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 2000];
    loop {
        for packet in end.sent.drain(..) {
            // refused as long as nobody listens there yet
            let _ = socket.send(&packet);
        }
        if end.connected {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "never connected");
        if let Ok(length) = socket.recv(&mut buffer) {
            end.receive(&buffer[..length]).unwrap();
        }
        end.tick(Instant::now()).unwrap();
    }
}

fn check(end: &End, process: &mut Process, certificate: &[u8], profile: SrtpProfile) {
    assert_eq!(end.peer.as_deref(), Some(certificate));
    let (material, agreed) = end.keying.as_ref().unwrap();
    assert_eq!(*agreed, profile);
    let hex: String = material.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(process.keying(), hex);
}

fn serve(more: &[&str], name: &str, profile: SrtpProfile) {
    let folder = tempfile::tempdir().unwrap();
    let Some(certificate) = rsa(folder.path()) else { return };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let mut arguments = vec!["s_client", "-connect", &address, "-use_srtp", name];
    arguments.extend(more);
    let mut process = Process::start(folder.path(), &arguments);
    let mut end = End::new(&super::provider(), false, Instant::now(), 1150);
    // The first datagram tells where it is
    let mut first = [0; 2000];
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (length, from) = socket.recv_from(&mut first).unwrap();
    socket.connect(from).unwrap();
    end.receive(&first[..length]).unwrap();
    run(&mut end, &socket);
    check(&end, &mut process, &certificate, profile);
}

fn call(more: &[&str], name: &str, profile: SrtpProfile) {
    let folder = tempfile::tempdir().unwrap();
    let Some(certificate) = rsa(folder.path()) else { return };
    // a port that was free just now
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut arguments = vec!["s_server", "-accept", &port, "-use_srtp", name];
    arguments.extend(more);
    let mut process = Process::start(folder.path(), &arguments);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(format!("127.0.0.1:{port}")).unwrap();
    let mut end = End::new(&super::provider(), true, Instant::now(), 1150);
    run(&mut end, &socket);
    check(&end, &mut process, &certificate, profile);
}

#[test]
fn a_client_with_rsa_gets_in() {
    serve(&[], "SRTP_AES128_CM_SHA1_80", SrtpProfile::AES128_CM_SHA1_80);
}

#[test]
fn a_client_that_signs_as_pkcs1_gets_in() {
    let old = ["-sigalgs", "ECDSA+SHA256:RSA+SHA256", "-groups", "P-256", "-mtu", "300"];
    serve(&old, "SRTP_AEAD_AES_128_GCM", SrtpProfile::AEAD_AES_128_GCM);
}

#[test]
fn a_server_with_rsa_is_taken() {
    call(&["-Verify", "1"], "SRTP_AES128_CM_SHA1_80", SrtpProfile::AES128_CM_SHA1_80);
}

#[test]
fn a_server_that_wants_a_cookie_first_is_taken() {
    let old = ["-sigalgs", "ECDSA+SHA256:RSA+SHA256", "-groups", "P-256", "-listen", "-Verify", "1"];
    call(&old, "SRTP_AEAD_AES_128_GCM", SrtpProfile::AEAD_AES_128_GCM);
}

#[test]
fn a_server_that_does_not_ask_who_we_are_is_taken() {
    call(&[], "SRTP_AES128_CM_SHA1_80", SrtpProfile::AES128_CM_SHA1_80);
}
