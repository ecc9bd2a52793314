use media::RtpPacket;

/// What happens to a packet at a [`Gate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Send,
    /// It makes no picture any more, or not yet.
    Keep,
    /// The same, and with it begins a wait for the next key picture: what is kept back is no loss on the way.
    Cut,
}

/// Lets a layer's packets out from a key picture on, and no older ones.
///
/// A publisher that lost its network for seconds sends what was asked of it again, pictures of that time. They cannot be decoded, and a
/// receiver that is given them takes its network for seconds slow: libwebrtc then held every picture back for up to 1.6 s.
#[derive(Debug)]
pub struct Gate {
    resendable: u64,
    waiting: bool,
    /// Of the key picture's first packet.
    first: u64,
    /// The stream and number of the newest packet that came.
    newest: Option<(u32, u64)>,
}

impl Gate {
    /// Closed up to the first key picture. Of a gap in a stream's numbers at most `resendable` packets may still come.
    pub fn new(resendable: u64) -> Self {
        Self { resendable, waiting: true, first: 0, newest: None }
    }

    /// Closed up to the next key picture.
    pub fn close(&mut self) {
        self.waiting = true;
    }

    /// Judges the next packet, in the order in which they come. Streams are numbered in the order in which they begin.
    pub fn judge(&mut self, packet: &RtpPacket) -> Verdict {
        let (stream, newest) = *self.newest.get_or_insert((packet.stream, packet.sequence));
        if packet.stream < stream {
            return Verdict::Keep;
        }
        let goes_on = packet.stream == stream;
        let torn = goes_on && packet.sequence > newest.saturating_add(self.resendable);
        self.newest =
            Some((packet.stream, if goes_on { newest.max(packet.sequence) } else { packet.sequence }));
        self.waiting |= !goes_on;
        if packet.keyframe && (self.waiting || torn) {
            (self.waiting, self.first) = (false, packet.sequence);
            return Verdict::Send;
        }
        if torn && !std::mem::replace(&mut self.waiting, true) {
            return Verdict::Cut;
        }
        if self.waiting || packet.sequence < self.first { Verdict::Keep } else { Verdict::Send }
    }
}

#[cfg(test)]
mod tests {
    use media::MediaTime;

    use super::*;
    use Verdict::{Cut, Keep, Send};

    fn packet(stream: u32, sequence: u64, keyframe: bool) -> RtpPacket {
        let (payload, captured) = ([].into(), MediaTime::ZERO);
        RtpPacket { stream, sequence, timestamp: 0, captured, marker: true, keyframe, level: None, payload }
    }

    /// One verdict for each (stream, number, key picture).
    fn judged(packets: &[(u32, u64, bool)]) -> Vec<Verdict> {
        let mut gate = Gate::new(100);
        packets.iter().map(|&(stream, number, key)| gate.judge(&packet(stream, number, key))).collect()
    }

    #[test]
    fn it_opens_with_a_key_picture_and_lets_nothing_older_out() {
        let packets = [(1, 7, false), (1, 9, true), (1, 8, false), (1, 10, false)];
        assert_eq!(judged(&packets), [Keep, Send, Keep, Send]);
    }

    #[test]
    fn a_gap_that_can_be_filled_is_left_open() {
        let packets = [(1, 1, true), (1, 101, false), (1, 50, false), (1, 102, true), (1, 51, false)];
        assert_eq!(judged(&packets), [Send; 5]);
    }

    #[test]
    fn after_a_longer_one_resends_are_kept_back_before_and_after_the_key_picture() {
        let packets = [
            (1, 1, true),
            (1, 300, false),
            (1, 250, false),
            (1, 302, true),
            (1, 301, false),
            (1, 303, false),
        ];
        assert_eq!(judged(&packets), [Send, Cut, Keep, Send, Keep, Send]);
        assert_eq!(judged(&[(1, 1, true), (1, 300, true), (1, 250, false)]), [Send, Send, Keep]);
    }

    #[test]
    fn another_stream_begins_with_a_key_picture_wherever_its_numbers_begin() {
        let packets = [(1, 900, true), (2, 5, false), (2, 6, true), (1, 901, true), (2, 7, false)];
        assert_eq!(judged(&packets), [Send, Keep, Send, Keep, Send]);
    }

    #[test]
    fn closed_it_opens_with_the_next_key_picture() {
        let mut gate = Gate::new(100);
        assert_eq!(gate.judge(&packet(1, 1, true)), Send);
        gate.close();
        assert_eq!([2, 3].map(|number| gate.judge(&packet(1, number, number == 3))), [Keep, Send]);
    }
}
