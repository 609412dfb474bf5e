"""Every sentence a visitor reads on the kiosk, in Chinese and English, and how times and numbers are written there.

Promises the limits of the screen's layout (result title at most 6 Hanzi and 30 letters, state line at most 18 Hanzi,
one sentence per line); a test holds them. Called by views and state_line; pure.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from firmware_specs.messages import Occurrence, Reason


@dataclass(frozen=True, slots=True)
class Words:
    """One thing said in both languages; a line break stands between sentences."""

    zh: str
    en: str

    def fill(self, **values: "str | Words") -> "Words":
        """Put values into the places named in braces, each language its own."""
        chinese = {name: v.zh if isinstance(v, Words) else v for name, v in values.items()}
        english = {name: v.en if isinstance(v, Words) else v for name, v in values.items()}
        return Words(self.zh.format(**chinese), self.en.format(**english))

    def then(self, more: "Words") -> "Words":
        """Another sentence: a new line in Chinese, the same paragraph in English."""
        return Words(f"{self.zh}\n{more.zh}", f"{self.en} {more.en}")


# --- titles of results: at most 6 Hanzi, 30 letters ------------------------------------------------------------------

ACCEPTED: Final = Words("签到成功", "Checked in")
GUEST_ACCEPTED: Final = Words("访客已登记", "Guest checked in")
STAFF_ACCEPTED: Final = Words("代签成功", "Checked in by staff")
ALREADY_IN: Final = Words("您已签到", "Already checked in")
VISIT: Final = Words("现在没有活动", "Nothing on now")
CHECKED_OUT: Final = Words("签退成功", "Checked out")
STOPPED: Final = Words("本机暂停签到", "This kiosk cannot check you in")
OUT_OF_SERVICE: Final = Words("本机正在维护", "Out of service")
NOT_SET_UP: Final = Words("本机尚未认领", "This kiosk is not set up yet")
STARTING: Final = Words("本机正在启动", "This kiosk is starting")
REFUSED: Final = {
    Reason.NOT_FOR_THIS_ACTIVITY: Words("不在本场名单", "Not on the list"),
    Reason.EXPIRED: Words("二维码已过期", "QR code expired"),
    Reason.NOT_YET_VALID: Words("还没到生效日", "Not valid yet"),
    Reason.REVOKED: Words("此码已停用", "No longer in use"),
    Reason.UNKNOWN_ISSUER: Words("不是本处的码", "Not one of our codes"),
    Reason.FORGED: Words("不是本处的码", "Not one of our codes"),
    Reason.UNREADABLE: Words("请再试一次", "Please try again"),
}
COVERED: Final = Words("画面已遮盖", "Covered for a picture")
ONE_MOMENT: Final = Words("请稍等", "One moment")
HERE_I_AM: Final = Words("我在这里", "Here I am")
HELP_CALLED: Final = Words("已请工作人员", "Staff have been called")
HELP_UNHEARD: Final = Words("请到服务台", "Please go to the desk")

# --- what to do next: one sentence per line --------------------------------------------------------------------------

NOT_NEEDED: Final = Words("不用再签。", "You need not do it again.")
LATER: Final = Words("联网后计入您参加的活动。", "It will be counted once this kiosk is online.")
ACTIVITY_LATER: Final = Words("活动稍后核对，您不用再签。", "The activity is filled in later; nothing to do.")
VISIT_KEPT: Final = Words("您的来访已记下。", "Your visit is recorded.")
NEXT_ON: Final = Words("下一场 {time}，{title}。", "Next: {time} {title}.")
TO_DESK: Final = Words("请到服务台，工作人员会帮您。", "Please go to the desk. Staff will help you.")
SIGN_AT_DESK: Final = Words(
    "请到服务台登记，您的到场不会漏记。", "Please sign in at the desk. Your visit will be recorded."
)
COVERED_MORE: Final = Words("马上恢复。", "It comes back in a moment.")
BEING_KEPT: Final = Words("看到您的码了，正在记录。", "Your code was seen and is being recorded.")
SET_UP: Final = Words(
    "请到服务台登记。\n工作人员：用云端网址和认领码，\n在本机运行：",
    "Please sign in at the desk. Staff: with the cloud’s address and the claim code, run on this machine:",
)
STARTING_WAIT: Final = Words("请稍候，或到服务台登记。", "Please wait, or sign in at the desk.")
NEXT_STEP: Final = {
    Reason.NOT_FOR_THIS_ACTIVITY: TO_DESK,
    Reason.EXPIRED: Words("请到服务台换新，\n或打开手机页面。", "Get a new one at the desk or on your phone."),
    Reason.NOT_YET_VALID: Words("请到服务台换新，\n或打开手机页面。", "Get a new one at the desk or on your phone."),
    Reason.REVOKED: TO_DESK,
    Reason.UNKNOWN_ISSUER: Words("请出示活动室的二维码。", "Show the code you got from us."),
    Reason.FORGED: Words("请出示活动室的二维码。", "Show the code you got from us."),
    Reason.UNREADABLE: Words("放平，离镜头一掌远。", "Hold it flat, a hand’s width away."),
}
HELP_COMING: Final = Words("请在这里稍等，或到服务台。", "Please wait here, or go to the desk.")
HELP_OFFLINE: Final = Words("网络断开，呼叫送不出去。", "The network is down, so the call cannot be sent.")

# --- prompts and buttons ----------------------------------------------------------------------------------------------

SHOW: Final = Words("请出示二维码", "Show your QR code")
TOUCH: Final = Words("请按下面按钮", "Use the buttons below")
LEAVING: Final = Words("读到后，记下您离开的时间。", "To check out: this records when you leave.")
CHOOSE: Final = Words("没有二维码", "No QR code")
PIN: Final = Words("工作人员 PIN", "Staff PIN")
PIN_LINE: Final = Words("请工作人员输入。", "To be entered by staff.")
NUMBER: Final = Words("输入卡号", "Card number")
NUMBER_LINE: Final = Words("卡上印的 12 位数字。", "The 12 digits printed on the card.")
PIN_WRONG: Final = Words("PIN 不对，还可以试 {left} 次。", "Wrong PIN. {left} more tries.")
PIN_PAUSED: Final = Words("试得太多，请等 {wait}。", "Too many tries. Wait {wait}.")
NUMBER_WRONG: Final = Words("卡号不对，请再核对一次。", "Not a card number. Please check it.")

NO_CODE: Final = Words("没有二维码", "No QR code")
ASK_HELP: Final = Words("请工作人员帮忙", "Ask for help")
CALL_STAFF: Final = Words("请工作人员过来", "Call staff")
AS_GUEST: Final = Words("以访客签到", "Check in as a guest")
STAFF_ENTRY: Final = Words("工作人员代签", "Staff entry")
ANOTHER: Final = Words("再签一位", "Another person")
LEAVE: Final = Words("离开签退", "Check out")
BACK: Final = Words("返回", "Back")
DELETE: Final = Words("删除", "Delete")
CONFIRM: Final = Words("确定", "OK")
BACK_IN: Final = Words("{n} 秒后返回", "Back in {n} s")

# --- head and schedule ------------------------------------------------------------------------------------------------

NO_ROOM: Final = Words("签到机", "Check-in kiosk")
NO_TWIN: Final = Words("还没有收到活动安排", "No schedule received yet")
NO_SCHEDULE: Final = Words("活动安排待更新", "Schedule out of date")
NOTHING_PLANNED: Final = Words("近期没有活动", "Nothing planned")
NO_TIME: Final = Words("时间待校准", "Time not set")
AFTER_TIME: Final = Words("时间校准后显示活动", "Activities are shown once the time is set")

# --- state line: at most 18 Hanzi -------------------------------------------------------------------------------------

ALL_STORED: Final = Words("在线，记录已全部存好", "Online, all records stored")
SENDING: Final = Words("{n} 条正在上传", "Sending {n}")
OFFLINE: Final = Words("网络断开，签到照常", "Offline. Check-in works")
OFFLINE_WAITING: Final = Words("网络断开，签到照常。{n} 条稍后上传", "Offline. Check-in works; {n} to send later")
NOT_STORED_SINCE: Final = Words("自 {date} 起没有存到云端，签到照常", "Nothing stored since {date}; check-in works")
NO_PICTURE: Final = Words("摄像头没有画面，请按下面的按钮", "Camera not working, use the buttons")
UNTIL_STAFF_END_IT: Final = Words("维护结束后恢复签到", "Check-in resumes after maintenance")
FULL: Final = Words("存储已满，{n} 条待上传", "Storage full, {n} to send")
READ_ONLY: Final = Words("存储不能写入，{n} 条待上传", "Storage cannot be written, {n} to send")
WAITS_FOR_CLAIM: Final = Words("等待认领，认领后自动开始", "Waiting to be claimed; then it starts by itself")
DAMAGED: Final = Words("存储出错，请联系工作人员", "Storage damaged, please tell staff")

_DAYS: Final = (
    Words("周一", "Monday"),
    Words("周二", "Tuesday"),
    Words("周三", "Wednesday"),
    Words("周四", "Thursday"),
    Words("周五", "Friday"),
    Words("周六", "Saturday"),
    Words("周日", "Sunday"),
)
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def say_day(at: datetime) -> Words:
    """Date and weekday of a local time: 11月23日 周一, Monday 23 November."""
    day = _DAYS[at.weekday()]
    return Words(f"{at.month}月{at.day}日 {day.zh}", f"{day.en} {at.day} {_MONTHS[at.month - 1]}")


def say_date(at: datetime) -> Words:
    """Short date: 11月2日, 2 Nov."""
    return Words(f"{at.month}月{at.day}日", f"{at.day} {_MONTHS[at.month - 1][:3]}")


def say_time(at: datetime) -> str:
    """Hours and minutes: 09:24."""
    return f"{at:%H:%M}"


def say_wait(seconds: int) -> Words:
    """A span to wait, rounded up: 30 秒, 2 分钟."""
    if seconds < 60:
        return Words(f"{seconds} 秒", f"{seconds} s")
    minutes = -(-seconds // 60)
    return Words(f"{minutes} 分钟", f"{minutes} min")


def say_count(number: int) -> str:
    """A figure with thousands commas: 48,211."""
    return f"{number:,}"


def title(occurrence: Occurrence) -> Words:
    """An activity's title; the Chinese one also where it has no English."""
    return Words(occurrence.title, occurrence.title_en)
