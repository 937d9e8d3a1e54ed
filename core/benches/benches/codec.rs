//! Decoding, encoding and slots beside the crates `redis-protocol` and `redis`.
//!
//! `redwire` decodes to the tape, which is what JavaScript reads, and encodes slices; `redwire_owned` decodes to owned frames and
//! encodes inert commands, as the native client does.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use inputs::decode;

fn main() {
    divan::Divan::from_args().min_time(std::time::Duration::from_millis(500)).main();
}

mod inputs {
    //! The same for every input.

    use super::{Bencher, BytesCount, black_box};
    use bytes::Bytes;
    use redis_protocol::resp2::decode::decode_bytes as decode_resp2;
    use redis_protocol::resp3::decode::complete::decode_bytes as decode_resp3;
    use redwire_core::resp::{Decoder, FrameSink, Limits, Sink};
    use redwire_core::tape::Tape;

    /// Decodes all of `input`, a reply at a time, and tells `done` of each.
    fn all<S: Sink>(input: &[u8], sink: &mut S, mut done: impl FnMut(&mut S)) {
        let mut decoder = Decoder::new(Limits::default());
        let mut rest = input;
        while !rest.is_empty() {
            let decoded = decoder.decode(rest, sink).expect("the input is well-formed");
            rest = &rest[decoded.consumed..];
            if decoded.done {
                done(sink);
            }
        }
    }

    pub(crate) fn tape(bencher: Bencher<'_, '_>, input: Vec<u8>) {
        let mut tape = Tape::default();
        bencher.counter(BytesCount::of_slice(&input)).bench_local(|| {
            tape.start(input.as_ptr() as usize);
            all(black_box(&input), &mut tape, |_| {});
            tape.words().len()
        });
    }

    pub(crate) fn frame(bencher: Bencher<'_, '_>, input: Vec<u8>) {
        let mut sink = FrameSink::default();
        bencher.counter(BytesCount::of_slice(&input)).bench_local(|| {
            let mut frames = Vec::new();
            all(black_box(&input), &mut sink, |sink| frames.extend(sink.take()));
            frames
        });
    }

    pub(crate) fn resp2(bencher: Bencher<'_, '_>, input: Vec<u8>) {
        let input = Bytes::from(input);
        bencher.counter(BytesCount::of_slice(&input)).bench_local(|| {
            let mut frames = Vec::new();
            let mut rest = black_box(&input).clone();
            while let Ok(Some((frame, used))) = decode_resp2(&rest) {
                frames.push(frame);
                rest = rest.slice(used..);
            }
            assert!(rest.is_empty(), "all is decoded");
            frames
        });
    }

    pub(crate) fn resp3(bencher: Bencher<'_, '_>, input: Vec<u8>) {
        let input = Bytes::from(input);
        bencher.counter(BytesCount::of_slice(&input)).bench_local(|| {
            let mut frames = Vec::new();
            let mut rest = black_box(&input).clone();
            while let Ok(Some((frame, used))) = decode_resp3(&rest) {
                frames.push(frame);
                rest = rest.slice(used..);
            }
            assert!(rest.is_empty(), "all is decoded");
            frames
        });
    }

    pub(crate) fn redis(bencher: Bencher<'_, '_>, input: Vec<u8>) {
        bencher.counter(BytesCount::of_slice(&input)).bench_local(|| {
            let mut parser = redis::Parser::new();
            let mut values = Vec::new();
            let mut reader = black_box(&input[..]);
            while let Ok(value) = parser.parse_value(&mut reader) {
                values.push(value);
            }
            values
        });
    }

    macro_rules! decode {
        ($group:ident, $input:ident, $protocol:ident) => {
            #[divan::bench_group]
            mod $group {
                use crate::{Bencher, inputs as benches};
                use redwire_benches::replies::$input;

                #[divan::bench]
                fn redwire(bencher: Bencher<'_, '_>) {
                    benches::tape(bencher, $input());
                }

                #[divan::bench]
                fn redwire_owned(bencher: Bencher<'_, '_>) {
                    benches::frame(bencher, $input());
                }

                #[divan::bench]
                fn redis_protocol(bencher: Bencher<'_, '_>) {
                    benches::$protocol(bencher, $input());
                }

                #[divan::bench]
                fn redis(bencher: Bencher<'_, '_>) {
                    benches::redis(bencher, $input());
                }
            }
        };
    }
    pub(crate) use decode;
}

decode!(decode_small_bulks, small_bulks, resp2);
decode!(decode_10k_array, array, resp2);
decode!(decode_1_mib, large_bulk, resp2);
decode!(decode_nesting, nesting, resp2);
decode!(decode_resp3_map, map, resp3);

/// A thousand `SET key value`.
#[divan::bench_group]
mod encode_set {
    use super::{Bencher, black_box};
    use redis_protocol::resp2::encode::extend_encode_borrowed;
    use redis_protocol::resp2::types::BorrowedFrame;
    use redwire_benches::replies::keys;
    use redwire_core::{commands, request::Request, resp::encode};

    const VALUE: &str = "0123456789abcdef";

    #[divan::bench]
    fn redwire(bencher: Bencher<'_, '_>) {
        let keys = keys();
        let mut buffer = Vec::new();
        bencher.bench_local(|| {
            buffer.clear();
            for key in black_box(&keys) {
                let _ = encode::command(&mut buffer, &[b"SET", key.as_bytes(), VALUE.as_bytes()]);
            }
            buffer.len()
        });
    }

    #[divan::bench]
    fn redwire_owned(bencher: Bencher<'_, '_>) {
        let keys = keys();
        let mut buffer = Vec::new();
        bencher.bench_local(|| {
            buffer.clear();
            for key in black_box(&keys) {
                commands::set(key.as_str(), VALUE).calls(&mut |call| {
                    let _ = call.encode(&mut buffer);
                });
            }
            buffer.len()
        });
    }

    #[divan::bench]
    fn redis_protocol(bencher: Bencher<'_, '_>) {
        let keys = keys();
        let mut buffer = bytes::BytesMut::new();
        bencher.bench_local(|| {
            buffer.clear();
            for key in black_box(&keys) {
                let words = [b"SET", key.as_bytes(), VALUE.as_bytes()].map(BorrowedFrame::BulkString);
                let _ = extend_encode_borrowed(&mut buffer, &BorrowedFrame::Array(&words), false);
            }
            buffer.len()
        });
    }

    #[divan::bench]
    fn redis(bencher: Bencher<'_, '_>) {
        let keys = keys();
        let mut buffer = Vec::new();
        bencher.bench_local(|| {
            buffer.clear();
            for key in black_box(&keys) {
                redis::cmd("SET").arg(key).arg(VALUE).write_packed_command(&mut buffer);
            }
            buffer.len()
        });
    }
}

/// Slots of a thousand keys.
#[divan::bench_group]
mod slot {
    use super::{Bencher, black_box};
    use redwire_benches::replies::keys;

    #[divan::bench]
    fn redwire(bencher: Bencher<'_, '_>) {
        let keys = keys();
        bencher.bench_local(|| {
            black_box(&keys)
                .iter()
                .map(|key| u32::from(redwire_core::slot::key_slot(key.as_bytes())))
                .sum::<u32>()
        });
    }

    #[divan::bench]
    fn redis_protocol(bencher: Bencher<'_, '_>) {
        let keys = keys();
        bencher.bench_local(|| {
            black_box(&keys)
                .iter()
                .map(|key| u32::from(redis_protocol::redis_keyslot(key.as_bytes())))
                .sum::<u32>()
        });
    }
}
