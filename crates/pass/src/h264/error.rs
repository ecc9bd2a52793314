/// What could not be read. Offsets count from the start of the record, access unit or NAL unit that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The decoder configuration is not one.
    #[error("AVCDecoderConfigurationRecord of {len} bytes at byte {at}: expected {expected}")]
    Record {
        /// Where it stops making sense.
        at: usize,
        /// Of the whole.
        len: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A NAL unit's length points past the end.
    #[error("NAL unit at byte {at} of an access unit: length {length}, only {left} bytes left")]
    Length {
        /// Where the length stands.
        at: usize,
        /// What it says.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// A NAL unit that no encoder may make.
    #[error("NAL unit at byte {at} of an access unit: {what}")]
    Nal {
        /// Where its first byte is.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The bits end too early.
    #[error("{in_what} ends after {bytes} bytes in the middle of its fields")]
    Short {
        /// Kind of NAL unit.
        in_what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A field is out of its range.
    #[error("{in_what}: {field} out of range")]
    Range {
        /// Kind of NAL unit.
        in_what: &'static str,
        /// By its name in H.264 7.3.
        field: &'static str,
    },
    /// A slice of a picture whose parameters were never sent.
    #[error("slice refers to a parameter set that was not sent (picture parameter set {pps})")]
    NoSet {
        /// Its number.
        pps: u32,
    },
    /// More parameter sets than anybody sends.
    #[error("more than {limit} parameter sets of a kind")]
    TooManySets {
        /// How many there may be.
        limit: usize,
    },
}
