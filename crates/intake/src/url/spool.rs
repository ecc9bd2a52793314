//! Random access to what comes only once and from the front: a temporary file that can be read while it fills.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use hyper::body::Bytes;
use tokio::{sync::watch, task::JoinSet};

use super::{Body, Error};

/// Written at once; sockets give some 16 KiB, and each write goes to another thread and back.
const WRITE: usize = 256 * 1024;
/// The most that one read gives.
const READ: usize = 1024 * 1024;

/// The reader's side; clones read the same file. It has no name in the file system, and its space is free with the last clone.
#[derive(Debug, Clone)]
pub struct Spool {
    file: Arc<File>,
    size: Option<u64>,
    filled: watch::Receiver<Filled>,
}

/// A spool and the task that fills it, which ends with it.
#[derive(Debug)]
pub(super) struct Spooled {
    spool: Spool,
    _filling: JoinSet<Result<(), Error>>,
}

impl Spooled {
    pub(super) fn new(spool: Spool, filling: Filling) -> Self {
        let mut task = JoinSet::new();
        task.spawn(filling.run());
        Self { spool, _filling: task }
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.spool.size()
    }

    pub(super) async fn read(&self, offset: u64, most: usize) -> Result<Option<Bytes>, Error> {
        let bytes = self.spool.read(offset, most).await?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// Waits for the end of what is spooled.
    pub(super) async fn whole(&self) -> Result<(), Error> {
        self.spool.read(u64::MAX, 1).await.map(drop)
    }
}

/// The writer's side, to be run by the caller beside its reads.
#[derive(Debug)]
pub struct Filling {
    file: Arc<File>,
    first: Bytes,
    body: Body,
    limit: u64,
    filled: watch::Sender<Filled>,
}

#[derive(Debug, Clone, Default)]
struct Filled {
    bytes: u64,
    end: Option<Result<(), Error>>,
}

impl Spool {
    /// A spool in `folder` for a body that begins at byte 0, of `limit` bytes at most. A body that says that it is larger is
    /// refused at once, one that does not say when it is.
    pub fn new(body: Body, folder: &Path, limit: u64) -> Result<(Self, Filling), Error> {
        Self::after(Bytes::new(), body, folder, limit)
    }

    /// The same for a body of which `first` has been read already.
    pub(super) fn after(
        first: Bytes,
        body: Body,
        folder: &Path,
        limit: u64,
    ) -> Result<(Self, Filling), Error> {
        let size = body.size();
        if size.is_some_and(|size| size > limit) {
            return Err(Error::TooLarge { limit });
        }
        if body.position() != first.len() as u64 {
            return Err(Error::Spool(io::ErrorKind::InvalidInput));
        }
        let file = tempfile::tempfile_in(folder).map_err(|error| Error::Spool(error.kind()))?;
        let file = Arc::new(file);
        let (sender, filled) = watch::channel(Filled::default());
        Ok((Self { file: file.clone(), size, filled }, Filling { file, first, body, limit, filled: sender }))
    }

    /// Bytes of the whole, if they were announced or all have come.
    pub fn size(&self) -> Option<u64> {
        let filled = self.filled.borrow();
        self.size.or_else(|| matches!(filled.end, Some(Ok(()))).then_some(filled.bytes))
    }

    /// Bytes that have come.
    pub fn filled(&self) -> u64 {
        self.filled.borrow().bytes
    }

    /// Up to `length` bytes (and 1 MiB) from `offset` on; waits until there is at least one of them. Empty at the end. What has
    /// come stays readable after an error of the body's; what has not gives that error.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let mut filled = self.filled.clone();
        let there = filled.wait_for(|filled| filled.bytes > offset || filled.end.is_some()).await;
        // the sender is gone: its task was ended before the body was
        let there = there.map_err(|_| Error::Spool(io::ErrorKind::Interrupted))?.clone();
        if there.bytes <= offset {
            return there.end.unwrap_or(Ok(())).map(|()| Bytes::new());
        }
        let left = usize::try_from(there.bytes - offset).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length.min(READ).min(left)];
        let file = self.file.clone();
        on_a_thread(move || file.read_exact_at(&mut buffer, offset).map(|()| buffer.into())).await
    }
}

impl Filling {
    /// Copies the body into the file to its end; the result is the readers', too.
    pub async fn run(mut self) -> Result<(), Error> {
        let end = self.copy().await;
        self.filled.send_modify(|filled| filled.end = Some(end.clone()));
        end
    }

    async fn copy(&mut self) -> Result<(), Error> {
        let mut at = 0u64;
        loop {
            let first = match std::mem::take(&mut self.first) {
                first if !first.is_empty() => first,
                _ => match self.body.chunk().await? {
                    Some(first) => first,
                    None => return Ok(()),
                },
            };
            let mut batch = vec![first];
            let mut length = batch[0].len();
            let mut end = Ok(());
            // what is there already, without waiting
            while length < WRITE {
                match futures_util::FutureExt::now_or_never(self.body.chunk()) {
                    Some(Ok(Some(more))) => {
                        length += more.len();
                        batch.push(more);
                    }
                    Some(Err(error)) => {
                        end = Err(error);
                        break;
                    }
                    Some(Ok(None)) | None => break,
                }
            }
            if at + length as u64 > self.limit {
                return Err(Error::TooLarge { limit: self.limit });
            }
            let file = self.file.clone();
            at = on_a_thread(move || {
                batch.into_iter().try_fold(at, |at, part| {
                    file.write_all_at(&part, at)?;
                    Ok(at + part.len() as u64)
                })
            })
            .await?;
            self.filled.send_modify(|filled| filled.bytes = at);
            end?;
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Spool(io::ErrorKind::Other))?.map_err(|error| Error::Spool(error.kind()))
}
