//! What a client may send to the runner, in pieces of any size: one answer each, and only what is understood is noted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tracerun::runner::{Listener, Requests, Told, answer};

fn answers(input: &[u8], size: usize) -> (Vec<String>, Told) {
    let environment = [("A".into(), "1".into()), ("VITE_A".into(), "2".into())];
    let mut listener = Listener::new(&environment);
    let (mut requests, mut answers) = (Requests::default(), Vec::new());
    for piece in input.chunks(size) {
        requests.take(piece, |request| {
            answers.push(answer(request, &mut listener))
        });
    }
    (answers, listener.told)
}

// The first byte says how large the pieces are.
fuzz_target!(|input: &[u8]| {
    let Some((&size, input)) = input.split_first() else {
        return;
    };
    let (whole, told) = answers(input, input.len().max(1));
    let (pieces, _) = answers(input, usize::from(size) + 1);
    assert_eq!(whole, pieces);
    let lines = input.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(whole.len(), lines);
    let understood = whole.iter().filter(|answer| {
        let answer: Value = serde_json::from_str(answer).expect("an answer is JSON");
        let ok = answer["ok"].as_bool().expect("it says whether it is one");
        assert_eq!(ok, answer.get("error").is_none());
        ok
    });
    // A path is noted as named and as resolved.
    assert!(told.statements().count() <= 2 * understood.count());
});
