//! LiveKit's side of an ingress: the control plane ([`bus`]), the tokens ([`token`]), and the room that the media goes
//! into ([`room`]), or that media goes into past us ([`whip`]).
#![forbid(unsafe_code)]

pub mod bus;
pub mod room;
pub mod token;
pub mod whip;
