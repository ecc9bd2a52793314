//! Random access to bodies that come only from the front.

use sluicegate_intake::url::Spool;
use tokio::sync::Semaphore;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn the_end_is_read_before_the_middle_of_a_body_without_ranges() {
    let server = Server::start(|_| ok(&noise(3_000_000))).await;
    let folder = folder();
    let opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    assert!(!opened.ranges);
    let (spool, filling) = Spool::new(opened.body, folder.path(), 1 << 30).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
    let filling = tokio::spawn(filling.run());
    assert_eq!(spool.size(), Some(3_000_000));
    assert_eq!(spool.read(2_999_990, 100).await.unwrap(), noise(3_000_000)[2_999_990..]);
    assert_eq!(spool.read(1_000_000, 10).await.unwrap(), noise(3_000_000)[1_000_000..1_000_010]);
    assert!(spool.read(3_000_000, 10).await.unwrap().is_empty());
    filling.await.unwrap().unwrap();
    assert_eq!(spool.filled(), 3_000_000);
}

/// What is there is readable while the rest is not, and a read of the rest waits for it.
#[tokio::test]
async fn it_is_read_while_it_fills() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let go = Arc::new(Semaphore::new(0));
    let told = go.clone();
    let server = tokio::spawn(async move {
        let mut stream = server::request(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst").await.unwrap();
        let _permit = told.acquire().await.unwrap();
        stream.write_all(b"second").await.unwrap();
    });
    let (folder, opened) = (folder(), fetcher().open(&url, from(0)).await.unwrap());
    let (spool, filling) = Spool::new(opened.body, folder.path(), 100).unwrap();
    let filling = tokio::spawn(filling.run());
    assert_eq!(spool.read(0, 100).await.unwrap(), &b"first"[..]);
    assert_eq!(spool.size(), None);
    let mut later = Box::pin(spool.read(5, 100));
    assert!(futures_util::poll!(&mut later).is_pending());
    go.add_permits(1);
    assert_eq!(later.await.unwrap(), &b"second"[..]);
    server.await.unwrap();
    filling.await.unwrap().unwrap();
    assert_eq!(spool.size(), Some(11));
}

#[tokio::test]
async fn its_bound_holds_for_announced_and_for_endless_bodies() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/announced" => vec![head("200 OK", &["Content-Length: 1000001".into()]), Step::Hang],
        _ => vec![head("200 OK", &[]), Step::Flood(vec![1; 10_000])],
    });
    let (server, folder) = (server.await, folder());
    let announced = fetcher().open(&server.url("/announced"), from(0)).await.unwrap();
    let refused = Spool::new(announced.body, folder.path(), 1_000_000).unwrap_err();
    assert_eq!(refused, Error::TooLarge { limit: 1_000_000 });
    let endless = fetcher().open(&server.url("/endless"), from(0)).await.unwrap();
    let (spool, filling) = Spool::new(endless.body, folder.path(), 1_000_000).unwrap();
    let large = Error::TooLarge { limit: 1_000_000 };
    assert_eq!(filling.run().await, Err(large.clone()));
    assert!(spool.filled() <= 1_000_000);
    assert_eq!(spool.read(2_000_000, 1).await, Err(large));
}

#[tokio::test]
async fn what_came_before_an_error_is_readable_and_the_rest_is_the_error() {
    let cut =
        || vec![head("200 OK", &["Content-Length: 10".into()]), Step::Send(b"abc".to_vec()), Step::Close];
    let (server, folder) = (Server::start(move |_| cut()).await, folder());
    let opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    let (spool, filling) = Spool::new(opened.body, folder.path(), 100).unwrap();
    let error = filling.run().await.unwrap_err();
    assert!(matches!(error, Error::Cut { at: 3, .. }));
    assert_eq!(spool.read(1, 100).await.unwrap(), &b"bc"[..]);
    assert_eq!(spool.read(3, 100).await, Err(error));
}

#[tokio::test]
async fn a_writer_that_was_ended_leaves_no_reader_waiting() {
    let hang = || vec![head("200 OK", &["Content-Length: 10".into()]), Step::Hang];
    let (server, folder) = (Server::start(move |_| hang()).await, folder());
    let opened = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    let (spool, filling) = Spool::new(opened.body, folder.path(), 100).unwrap();
    drop(filling);
    assert_eq!(spool.read(0, 1).await, Err(Error::Spool(io::ErrorKind::Interrupted)));
    let nowhere = fetcher().open(&server.url("/"), from(0)).await.unwrap();
    let missing = Spool::new(nowhere.body, &folder.path().join("missing"), 100).unwrap_err();
    assert_eq!(missing, Error::Spool(io::ErrorKind::NotFound));
}
