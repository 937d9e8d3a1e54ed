//! Properties of the decoder, with values that shrink when they fail.

use proptest::prelude::*;
use redwire_core::resp::{Frame, Limits};
use redwire_tests::wire::{decode, encoded, whole};

fn text() -> impl Strategy<Value = bytes::Bytes> {
    prop_oneof![
        "[a-z]{0,12}".prop_map(bytes::Bytes::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(bytes::Bytes::from),
    ]
}

fn leaf() -> impl Strategy<Value = Frame> {
    prop_oneof![
        Just(Frame::Null),
        "[^\r\n]{0,12}".prop_map(|line| Frame::Simple(line.into())),
        text().prop_map(Frame::Error),
        text().prop_map(Frame::Bulk),
        text().prop_map(|text| Frame::Verbatim(*b"mkd", text)),
        any::<i64>().prop_map(Frame::Integer),
        any::<f64>().prop_filter("a number", |value| !value.is_nan()).prop_map(Frame::Double),
        any::<bool>().prop_map(Frame::Boolean),
        "-?[0-9]{1,60}".prop_map(|digits| Frame::BigNumber(digits.into())),
    ]
}

fn value() -> impl Strategy<Value = Frame> {
    leaf().prop_recursive(5, 40, 5, |inner| {
        let pairs = || prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Frame::Array),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Frame::Set),
            pairs().prop_map(Frame::Map),
            (pairs(), inner.clone()).prop_map(|(attributes, value)| match value {
                // the attributes of one value are one map
                value @ Frame::Attribute(..) => value,
                value => Frame::Attribute(attributes, Box::new(value)),
            }),
        ]
    })
}

fn stream() -> impl Strategy<Value = Vec<Frame>> {
    let push = prop::collection::vec(leaf(), 0..4).prop_map(Frame::Push);
    prop::collection::vec(prop_oneof![4 => value(), 1 => push], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(frames in stream()) {
        let wire: Vec<u8> = frames.iter().flat_map(encoded).collect();
        prop_assert_eq!(whole(&wire), (frames, Ok(())));
    }

    #[test]
    fn how_bytes_arrive_does_not_matter(
        frames in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        parts in 0..40usize,
    ) {
        let wire: Vec<u8> = frames.iter().flat_map(encoded).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]);
        let limits = Limits { whole: parts, ..Limits::default() };
        prop_assert_eq!(decode(limits, pieces), (frames, Ok(())));
    }

    #[test]
    fn no_prefix_is_more_than_its_whole_values(frames in stream(), cut in any::<prop::sample::Index>()) {
        let wire: Vec<u8> = frames.iter().flat_map(encoded).collect();
        let (some, end) = whole(&wire[..cut.index(wire.len() + 1)]);
        prop_assert_eq!(end, Ok(()));
        prop_assert!(frames.starts_with(&some));
    }

    #[test]
    fn random_bytes_are_values_or_errors(wire in prop::collection::vec(any::<u8>(), 0..200), parts in 0..9usize) {
        let limits = Limits { whole: parts, ..Limits::default() };
        let _ = decode(limits, [wire.as_slice()]);
        let _ = decode(limits, wire.chunks(1));
    }

    #[test]
    fn one_wrong_byte_is_a_value_or_an_error(frames in stream(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut wire: Vec<u8> = frames.iter().flat_map(encoded).collect();
        let at = at.index(wire.len());
        wire[at] = byte;
        let (once, bytewise) = (whole(&wire), decode(Limits::default(), wire.chunks(1)));
        prop_assert_eq!(format!("{:?}", once.0), format!("{:?}", bytewise.0));
        prop_assert_eq!(once.1, bytewise.1);
    }
}
