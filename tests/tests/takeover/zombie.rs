//! An owner sleeps past its death, and its log is trimmed beyond what it knew before it wakes.

use std::{collections::BTreeMap, time::Duration};

use broker::RequestError;
use futures_util::future::join_all;
use prost::Message as _;
use proto::{
    RoomId,
    bus::v1::{Read, Reply, Request, Send, reply, request, send},
    log::v1::{Author, Message},
    subject::Subjects,
};
use serde_json::json;
use tests::{Browser, eventually, nats::Streams};

use super::{
    REPLICAS,
    installation::{Installation, count, rooms},
};

/// How often it is asked, by gateways that have not heard of its death, once it wakes.
const QUESTIONS: usize = 20;
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Messages of each room before it sleeps, and meanwhile.
const BEFORE: u64 = 5;
const MEANWHILE: u64 = 3;

#[tokio::test]
async fn an_owner_that_wakes_when_its_log_is_trimmed_answers_nothing_and_changes_nothing() {
    let installation = Installation::start(&REPLICAS).await;
    let streams = Streams::at(&installation.url(), None).await;
    let rooms = rooms();
    let names: Vec<_> = rooms.iter().map(String::as_str).collect();
    let mut ann = Browser::enter(installation.gateways[0], "Ann", &names).await;
    let mut bo = Browser::enter(installation.gateways[1], "Bo", &names).await;
    say(&mut ann, &rooms, 1..=BEFORE).await;

    let victim = installation.busiest().await;
    let owned = installation.owned_by(&victim).await;
    installation.pause(&victim);
    let mut known = BTreeMap::new();
    for (pp, _) in &owned {
        let info = streams.info(&format!("PARLOR_LOG_{pp}")).await.unwrap();
        known.insert(*pp, info["state"]["last_seq"].as_u64().unwrap());
    }
    eventually("others own what it owned", || async {
        let owners = installation.owners().await?;
        owners.values().all(|owner| *owner != victim).then_some(())
    })
    .await;
    say(&mut ann, &rooms, BEFORE + 1..=BEFORE + MEANWHILE).await;
    for (pp, last) in &known {
        eventually("its log is trimmed beyond what it knew", || async {
            let info = streams.info(&format!("PARLOR_LOG_{pp}")).await?;
            (info["state"]["first_seq"].as_u64()? > last + 1).then_some(())
        })
        .await;
    }

    let asks = async || {
        let its = rooms.iter().filter_map(|room| {
            let id = RoomId::parse(room).unwrap();
            let (pp, epoch) = owned.iter().find(|(pp, _)| *pp == count().of(&id))?;
            Some(ask(
                &installation,
                Subjects::default().inbound(*pp, *epoch, &id),
                room,
            ))
        });
        join_all(its).await.into_iter().sum::<usize>()
    };
    // What it finds when it wakes, and what comes later.
    let (mut answers, ()) = tokio::join!(asks(), async { installation.resume(&victim) });
    for _ in 0..QUESTIONS {
        answers += asks().await;
    }
    println!("{victim}: {answers} answers that it owns nothing any more, and no other");
    assert!(answers > 0, "it was asked too late");
    say(
        &mut ann,
        &rooms,
        BEFORE + MEANWHILE + 1..=BEFORE + MEANWHILE + 1,
    )
    .await;
    for room in &rooms {
        let events = usize::try_from(BEFORE + MEANWHILE + 1).unwrap();
        for (n, event) in bo.events(room, events).await.iter().enumerate() {
            let seq = n as u64 + 1;
            assert_eq!(event["seq"], seq, "{event}");
            assert_eq!(event["cid"], format!("c{seq}"), "{event}");
        }
    }
}

/// Sends the messages of these numbers to each room; each gets its number as seq.
async fn say(ann: &mut Browser, rooms: &[String], numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        for room in rooms {
            let ack = ann.send(room, &format!("c{n}"), "hi").await;
            assert_eq!(ack["seq"], json!(n), "{ack}");
        }
    }
}

/// Asks an owner to read the room, and to take a message; how often it says that it is none.
async fn ask(installation: &Installation, subject: String, room: &str) -> usize {
    let send = Send {
        from: Some(Author {
            id: "u_late".to_owned(),
            nick: "Late".to_owned(),
            ..Author::default()
        }),
        cid: format!("late-{:08x}", rand::random::<u32>()),
        since: Some(BEFORE),
        asked: room.to_owned(),
        body: Some(send::Body::Message(Message {
            text: "too late".to_owned(),
            ..Message::default()
        })),
        ..Send::default()
    };
    let read = Read {
        limit: 50,
        ..Read::default()
    };
    let mut answers = 0;
    for op in [request::Op::Read(read), request::Op::Send(send)] {
        let request = Request {
            room: room.to_owned(),
            op: Some(op),
        };
        let payload = request.encode_to_vec().into();
        match installation.ask(&subject, payload, ANSWER_WITHIN).await {
            Ok(answer) => {
                let answer = Reply::decode(answer).unwrap().result;
                let is_none = matches!(answer, Some(reply::Result::NotOwner(_)));
                assert!(is_none, "{subject} was answered {answer:?}");
                answers += 1;
            }
            Err(RequestError::NoResponder | RequestError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    }
    answers
}
