//! A queue that is never empty moves away what was answered, and nothing else.

use redwire_core::connection::Config;
use redwire_tests::model::{Peer, words};
use redwire_tests::wire::bulk;

#[test]
fn a_queue_that_never_empties_writes_every_command_as_it_is() {
    for external in [false, true] {
        let mut peer = Peer::ready(3, Config::default());
        let own = |slot: u32| format!("{slot}-{}", "x".repeat(9_000 + slot as usize));
        let submit = |peer: &mut Peer, slot: u32| {
            let args = words(&format!("ECHO {}", own(slot)));
            if external && slot.is_multiple_of(3) {
                peer.submit_external(slot, &args, 1);
            } else {
                peer.submit_with(slot, 0, None, &args);
            }
        };
        submit(&mut peer, 0);
        for slot in 1..100 {
            // the newest command is only partly written when the one before it is answered
            submit(&mut peer, slot);
            peer.transmit(if slot == 1 { 12_000 } else { 9_060 });
            if slot.is_multiple_of(7) {
                submit(&mut peer, 1_000 + slot);
                assert_eq!(peer.cancel(1_000 + slot), Some(false));
            }
            let before = own(slot - 1);
            peer.reply(format!("${}\r\n{before}\r\n", before.len()));
            assert_eq!(peer.replied(slot - 1), Some(&bulk(before)));
        }
        let sent = peer.sent();
        assert_eq!(sent.len(), 100, "every command once");
        for (slot, line) in (0..100).zip(&sent) {
            assert_eq!(*line, format!("ECHO {}", own(slot)));
        }
    }
}
