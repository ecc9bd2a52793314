//! Threads of pictures, which give way to those of sound.

use std::sync::OnceLock;

use gst::{glib, prelude::*};
use gstreamer as gst;
use rustix::process::{getpriority_process, setpriority_process};

/// How much nicer the threads of pictures are than those of sound: a third of the share where both want the CPU.
/// Sound crosses four threads; alike, it waited seconds beside 24 busy loops, now 0.2 s (docs/performance.md).
const NICER: i32 = 5;

/// Has the streaming thread that `message` announces, if it does, come from the pool of pictures.
pub(crate) fn give_way(message: &gst::Message) -> gst::BusSyncReply {
    let gst::MessageView::StreamStatus(status) = message.view() else { return gst::BusSyncReply::Pass };
    let pool = Pool::of_pictures();
    match status.get().0 {
        gst::StreamStatusType::Create => {
            let task = status.stream_status_object().and_then(|task| task.get::<gst::Task>().ok());
            if let (Some(task), Some(pool)) = (task, &pool.tasks) {
                task.set_pool(pool);
            }
        }
        gst::StreamStatusType::Enter => {
            // Of this thread alone, and of those that it starts. Where it is forbidden, pictures and sound share alike.
            let _ = setpriority_process(None, pool.nice);
        }
        _ => {}
    }
    gst::BusSyncReply::Drop
}

/// Threads that sound never gets: GLib gives a thread to another task when one ends, and what made itself nicer stays so.
struct Pool {
    tasks: Option<gst::TaskPool>,
    nice: i32,
}

impl Pool {
    fn of_pictures() -> &'static Self {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(|| {
            // All pools share the threads that have nothing to do, but for half a second: none is kept any longer.
            glib::ThreadPool::set_max_unused_threads(Some(0));
            let tasks = gst::TaskPool::new();
            let nice = getpriority_process(None).unwrap_or(0) + NICER;
            // Without one, tasks take GStreamer's own.
            Self { tasks: tasks.prepare().is_ok().then_some(tasks), nice }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use media::Kind;

    use super::*;
    use crate::build::{Chain, caps};

    #[test]
    fn pictures_give_way_to_sound_each_time_by_as_much() {
        gst::init().unwrap();
        let nice = |kind| {
            let chain = Chain::new(kind).unwrap();
            let (sender, came) = mpsc::channel();
            let own = || rustix::process::getpriority_process(None).unwrap();
            chain.sink(chain.source.upcast_ref(), move |_| sender.send(own()).unwrap()).unwrap();
            chain.play().unwrap();
            let caps = caps("video/x-raw").unwrap();
            let sample = gst::Sample::builder().buffer(&gst::Buffer::from_slice([0; 8])).caps(&caps).build();
            chain.source.push_sample(&sample).unwrap();
            came.recv_timeout(Duration::from_secs(10)).unwrap()
        };
        // One after the other, so that threads could be used again.
        let sound = nice(Kind::Audio);
        let all = [Kind::Video, Kind::Video, Kind::Audio, Kind::Video, Kind::Audio].map(nice);
        assert_eq!(all, [sound + NICER, sound + NICER, sound, sound + NICER, sound]);
    }
}
