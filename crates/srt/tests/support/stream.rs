//! Transport stream packets with a number in them.

pub(crate) const PACKET: usize = 188;

/// Packets in a message, as all programs send them.
pub(crate) const IN_A_MESSAGE: u64 = 7;

/// Its bytes.
pub(crate) const MESSAGE: usize = IN_A_MESSAGE as usize * PACKET;

pub(crate) fn message(first: u64) -> Vec<u8> {
    (first..first + IN_A_MESSAGE).flat_map(packet).collect()
}

fn packet(number: u64) -> Vec<u8> {
    let mut packet = vec![0x47, 0x01, 0x00, 0x10 | (number % 16) as u8];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.resize(PACKET, number as u8);
    packet
}

/// The numbers of the packets, each of which is whole.
pub(crate) fn numbers(bytes: &[u8]) -> Vec<u64> {
    assert_eq!(bytes.len() % PACKET, 0, "whole packets");
    let number = |bytes: &[u8]| {
        let number = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
        assert_eq!(bytes, packet(number));
        number
    };
    bytes.chunks(PACKET).map(number).collect()
}

/// All packets of so many messages are there, in order, and nothing else.
pub(crate) fn assert_whole(bytes: &[u8], messages: u64) {
    let (came, all) = (numbers(bytes), (0..messages * IN_A_MESSAGE).collect::<Vec<_>>());
    let missing = || all.iter().filter(|number| !came.contains(number)).collect::<Vec<_>>();
    assert!(came == all, "{} packets of {}; missing: {:?}", came.len(), all.len(), missing());
}
