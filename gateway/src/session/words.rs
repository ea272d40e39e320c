//! The words of `error.message`, for people, in the languages we speak. Clients act on the code.

use std::borrow::Cow;

use proto::Code;

/// What to say in a language. `detail` names what exactly is wrong, in English: it is given to whoever
/// reads English, and with a malformed frame to everybody, for it is a developer who reads that.
pub(super) fn message(lang: web::Lang, code: Code, detail: Option<&str>) -> Cow<'static, str> {
    let (english, chinese) = words(code);
    let is_chinese = lang.tag().starts_with("zh");
    let words = if is_chinese { chinese } else { english };
    match detail {
        Some(detail) if code == Code::Malformed => format!("{words}: {detail}").into(),
        Some(detail) if !is_chinese => detail.to_owned().into(),
        _ => words.into(),
    }
}

/// English and Chinese.
fn words(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Malformed => ("this frame is malformed", "帧格式错误"),
        Code::UnknownOp => ("there is no such operation", "没有这种操作"),
        Code::HelloTwice => ("hello was said before", "已经发送过 hello"),
        Code::RoomInvalid => (
            "a room name has 1-64 letters, digits, `_` and `-`",
            "房间名由 1 到 64 个字母、汉字、数字、“_”或“-”组成",
        ),
        Code::RoomUnknown => ("there is no such room", "没有这个房间"),
        Code::NotJoined => ("join the room first", "请先加入房间"),
        Code::TooManyRooms => ("you are in too many rooms", "您加入的房间太多了"),
        Code::RoomFull => ("the room is full", "房间已满"),
        Code::CidInvalid => (
            "`cid` must be 1-36 of A-Z a-z 0-9 _ -",
            "“cid”必须是 1 到 36 个 A-Z a-z 0-9 _ - 字符",
        ),
        Code::CidReused => (
            "this cid was sent before with another body",
            "这个 cid 已用于另一条消息",
        ),
        Code::CidExpired => ("the message may have been sent", "消息可能已经发送"),
        Code::TextEmpty => ("the message is empty", "消息为空"),
        Code::TextTooLong => ("the message is too long", "消息太长"),
        Code::TextInvalid => (
            "this has characters that cannot be sent",
            "其中含有不能发送的字符",
        ),
        Code::TargetUnknown => ("there is no such message", "没有这条消息"),
        Code::NotYours => ("the message is somebody else's", "这不是您的消息"),
        Code::EditTooLate => ("the message can no longer be changed", "消息已不能修改"),
        Code::NickInvalid => (
            "a name has 1-32 visible characters",
            "昵称由 1 到 32 个可见字符组成",
        ),
        Code::NickTaken => ("this name is reserved", "这个昵称不可使用"),
        Code::RateLimited => ("too fast, wait a moment", "操作太频繁，请稍候"),
        Code::SlowMode => (
            "the room is in slow mode, wait a moment",
            "房间处于慢速模式，请稍候",
        ),
        Code::Muted => ("you are muted", "您已被禁言"),
        Code::Banned => ("you are banned", "您已被封禁"),
        Code::ReadOnly => ("you cannot write in this room", "您不能在此房间发言"),
        Code::Archived => ("the room is archived", "房间已归档"),
        Code::Filtered => ("the message was not accepted", "消息未被接受"),
        Code::Unavailable => ("not available now, try again", "暂时不可用，请重试"),
        Code::Internal => ("something went wrong here", "服务器内部错误"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_the_language_asked_for() {
        let english = web::negotiate(Some("en"));
        let chinese = web::negotiate(Some("zh"));
        assert_eq!(message(english, Code::RoomFull, None), "the room is full");
        assert_eq!(message(chinese, Code::RoomFull, None), "房间已满");
        assert_eq!(
            message(chinese, Code::Malformed, Some("`op` is missing")),
            "帧格式错误: `op` is missing"
        );
        assert_eq!(message(english, Code::RoomInvalid, Some("no")), "no");
    }
}
