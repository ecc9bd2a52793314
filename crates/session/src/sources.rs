use std::time::Instant;

use crate::{SourceId, Why};

/// The connections of a session: the one that feeds it, and the one that is about to.
#[derive(Debug)]
pub(crate) struct Sources {
    current: Option<SourceId>,
    next: Option<Next>,
    /// How the last current one ended while its successor was being accepted.
    ended: Why,
}

#[derive(Debug)]
struct Next {
    id: SourceId,
    /// None while it has not been told to go on.
    by: Option<Instant>,
}

/// What the end of a connection means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Not one of ours.
    Unknown,
    /// Another one is still there.
    Another,
    /// None is left.
    Nobody(Why),
}

impl Sources {
    pub(crate) fn new(first: SourceId) -> Self {
        Self { current: None, next: Some(Next { id: first, by: None }), ended: Why::Lost }
    }

    pub(crate) fn is_current(&self, id: SourceId) -> bool {
        self.current == Some(id)
    }

    pub(crate) fn current(&self) -> Option<SourceId> {
        self.current
    }

    pub(crate) fn is_handing_over(&self) -> bool {
        self.next.is_some()
    }

    pub(crate) fn next(&self) -> Option<SourceId> {
        self.next.as_ref().map(|next| next.id)
    }

    /// Makes `id` the next one; gives back the one that had been.
    pub(crate) fn replace_next(&mut self, id: SourceId) -> Option<SourceId> {
        self.next.replace(Next { id, by: None }).map(|old| old.id)
    }

    /// The next one is told to go on, and has until `by`.
    pub(crate) fn accepting(&mut self, by: Instant) -> Option<SourceId> {
        let next = self.next.as_mut()?;
        next.by = Some(by);
        Some(next.id)
    }

    /// `id` becomes the current one, if it was expected; gives back its predecessor, if that is still open.
    pub(crate) fn accepted(&mut self, id: SourceId) -> Option<Option<SourceId>> {
        self.next.take_if(|next| next.id == id && next.by.is_some())?;
        Some(self.current.replace(id))
    }

    pub(crate) fn ended(&mut self, id: SourceId, why: Why) -> Left {
        if self.next.take_if(|next| next.id == id).is_some() {
            return if self.current.is_some() { Left::Another } else { Left::Nobody(self.ended.clone()) };
        }
        if self.current.take_if(|current| *current == id).is_none() {
            return Left::Unknown;
        }
        self.ended = why;
        if self.next.is_some() { Left::Another } else { Left::Nobody(self.ended.clone()) }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next.as_ref()?.by
    }

    /// The next one, when it did not answer in time.
    pub(crate) fn overdue(&self, now: Instant) -> Option<SourceId> {
        self.next.as_ref().filter(|next| next.by.is_some_and(|by| by <= now)).map(|next| next.id)
    }

    /// Both, to be closed.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = SourceId> + use<> {
        self.current.take().into_iter().chain(self.next.take().map(|next| next.id))
    }
}
