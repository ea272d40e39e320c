use super::*;

const MAX: usize = 16_384;

/// A masked frame: `first` is FIN, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Everything that the bytes say, when they come in pieces of `size`.
fn decoded(bytes: &[u8], size: usize) -> Vec<Result<Item, Close>> {
    let mut decoder = Decoder::new(MAX);
    let mut items = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece);
        while let Some(item) = decoder.next().transpose() {
            items.push(item);
        }
    }
    assert!(decoder.bytes.capacity() == 0 || !decoder.bytes.is_empty());
    items
}

/// The same however the bytes come.
fn all(bytes: &[u8]) -> Vec<Result<Item, Close>> {
    let whole = decoded(bytes, bytes.len());
    for size in [1, 2, 3, 7, 1_000] {
        assert_eq!(decoded(bytes, size), whole, "in pieces of {size}");
    }
    whole
}

fn text(text: &str) -> Result<Item, Close> {
    Ok(Item::Text(text.to_owned()))
}

#[test]
fn messages_are_whole_however_they_come() {
    let long = "好".repeat(MAX / 3);
    let mut bytes = frame(0x81, b"hi");
    bytes.extend(frame(0x81, long.as_bytes()));
    bytes.extend(frame(0x82, &[1, 2, 3]));
    bytes.extend(frame(0x81, b""));
    assert_eq!(
        all(&bytes),
        [text("hi"), text(&long), Ok(Item::Binary), text("")]
    );
}

#[test]
fn fragments_are_put_together_and_control_frames_come_between() {
    let (first, second) = "好".as_bytes().split_at(1);
    let mut bytes = frame(0x01, first);
    bytes.extend(frame(0x89, b"ping"));
    bytes.extend(frame(0x00, second));
    bytes.extend(frame(0x8a, b""));
    bytes.extend(frame(0x80, b"!"));
    assert_eq!(
        all(&bytes),
        [
            Ok(Item::Ping(b"ping".to_vec())),
            Ok(Item::Pong),
            text("好!")
        ]
    );
}

#[test]
fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
    let limit = "x".repeat(MAX);
    assert_eq!(all(&frame(0x81, limit.as_bytes())), [text(&limit)]);
    for extra in [1, 100, 100_000] {
        let mut bytes = frame(0x81, &vec![b'x'; MAX + extra]);
        bytes.extend(frame(0x88, &1000_u16.to_be_bytes()));
        assert_eq!(
            all(&bytes),
            [Err(Close::TOO_BIG), Ok(Item::Close(Some(1000)))]
        );
    }
    let mut bytes = frame(0x01, &vec![b'x'; MAX]);
    bytes.extend(frame(0x80, b"x"));
    bytes.extend(frame(0x88, b""));
    assert_eq!(all(&bytes), [Err(Close::TOO_BIG), Ok(Item::Close(None))]);
}

#[test]
fn a_size_that_is_only_announced_takes_no_memory() {
    let mut decoder = Decoder::new(MAX);
    let mut head = vec![0x81, 0x80 | 127];
    head.extend((1_u64 << 62).to_be_bytes());
    head.extend([0; 4]);
    decoder.push(&head);
    assert_eq!(decoder.next(), Err(Close::TOO_BIG));
    for _ in 0..100 {
        decoder.push(&[0; 1_000]);
        assert_eq!(decoder.next(), Ok(None));
    }
    assert_eq!(decoder.bytes.capacity(), 0);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(all(&frame(0x81, &[0xff])), [Err(Close::NOT_UTF8)]);
    let mut halves = frame(0x01, &[0xe5]);
    halves.extend(frame(0x80, b"x"));
    assert_eq!(all(&halves), [Err(Close::NOT_UTF8)]);
    let reason = [&1000_u16.to_be_bytes()[..], &[0xff]].concat();
    assert_eq!(all(&frame(0x88, &reason)), [Err(Close::NOT_UTF8)]);
}

#[test]
fn every_broken_rule_loses_the_place() {
    let unmasked = vec![0x81, 0x00];
    let long_way = [vec![0x81, 0x80 | 126, 0, 1], vec![0; 5]].concat();
    let negative = [vec![0x81, 0x80 | 127, 0x80], vec![0; 11]].concat();
    let big_ping = frame(0x89, &[0; 126]);
    let mut nested = frame(0x01, b"a");
    nested.extend(frame(0x81, b"b"));
    for bytes in [
        unmasked,
        long_way,
        negative,
        big_ping,
        nested,
        frame(0xc1, b""),
        frame(0x91, b""),
        frame(0xa1, b""),
        frame(0x83, b""),
        frame(0x8b, b""),
        frame(0x80, b""),
        frame(0x09, b""),
        frame(0x88, &[3]),
        frame(0x88, &1005_u16.to_be_bytes()),
        frame(0x88, &999_u16.to_be_bytes()),
        frame(0x88, &5000_u16.to_be_bytes()),
    ] {
        let mut decoder = Decoder::new(MAX);
        decoder.push(&bytes);
        assert_eq!(decoder.next(), Err(Close::FRAME_RULES), "{bytes:?}");
        assert!(decoder.is_lost());
        decoder.push(&frame(0x81, b"hi"));
        assert_eq!(decoder.next(), Ok(None));
    }
}

#[test]
fn a_close_names_its_code_or_none() {
    for code in [1000_u16, 1001, 1011, 3000, 4999] {
        assert_eq!(
            all(&frame(0x88, &code.to_be_bytes())),
            [Ok(Item::Close(Some(code)))]
        );
    }
    assert_eq!(all(&frame(0x88, b"")), [Ok(Item::Close(None))]);
}

#[test]
fn a_fragment_and_a_ping_are_signs_of_life() {
    let mut decoder = Decoder::new(MAX);
    let fragment = frame(0x01, b"hal");
    decoder.push(&fragment[..4]);
    assert_eq!(decoder.next(), Ok(None));
    assert!(!decoder.take_heard(), "half a frame is none");
    decoder.push(&fragment[4..]);
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.take_heard(), "though the message is not whole");
    assert!(!decoder.take_heard());
    decoder.push(&frame(0x8a, b""));
    assert_eq!(decoder.next(), Ok(Some(Item::Pong)));
    assert!(decoder.take_heard());
}
