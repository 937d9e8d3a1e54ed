//! What replies look like to the caller, whatever the protocol.

/// What a reply looks like to the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// As the server sent it.
    #[default]
    Plain,
    /// A status whose `OK` is true; null in its place is false.
    Status,
    /// A double, or null.
    Double,
    /// Fields and values.
    Map,
    /// Members without order.
    Set,
    /// Pairs of a member and its score.
    Scores,
}
