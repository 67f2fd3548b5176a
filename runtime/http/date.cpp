#include "morgana/http/date.hpp"

#include <algorithm>
#include <chrono>

namespace morgana::http {
namespace {

constexpr std::string_view day_names = "SunMonTueWedThuFriSat";
constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::int64_t earliest = -62'135'596'800;   // 0001-01-01T00:00:00Z
constexpr std::int64_t latest = 253'402'300'799;     // 9999-12-31T23:59:59Z

void put_number(char* at, unsigned digits, unsigned value) {
  for (unsigned i = digits; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

/// Reads the text from front to back; after the first mismatch everything fails.
class reader {
 public:
  explicit reader(std::string_view text) : text_(text) {}
  [[nodiscard]] bool is_done() const { return good_ && text_.empty(); }
  [[nodiscard]] bool is_good() const { return good_; }

  void literal(std::string_view expected) {
    if (!text_.starts_with(expected)) good_ = false;
    if (good_) text_.remove_prefix(expected.size());
  }
  unsigned number(std::size_t digits) {
    unsigned value = 0;
    if (text_.size() < digits) good_ = false;
    for (std::size_t i = 0; good_ && i < digits; ++i) {
      if (text_[i] < '0' || text_[i] > '9') good_ = false;
      value = value * 10 + static_cast<unsigned>(text_[i] - '0');
    }
    if (good_) text_.remove_prefix(digits);
    return value;
  }
  unsigned month() {
    if (text_.size() < 3) good_ = false;
    if (!good_) return 1;
    for (std::size_t i = 0; i < 12; ++i) {
      if (text_.substr(0, 3) != month_names.substr(i * 3, 3)) continue;
      text_.remove_prefix(3);
      return static_cast<unsigned>(i + 1);
    }
    good_ = false;
    return 1;
  }
  /// asctime's day: two digits, or a space and one.
  unsigned padded_day() {
    if (text_.starts_with(' ')) {
      text_.remove_prefix(1);
      return number(1);
    }
    return number(2);
  }

 private:
  std::string_view text_;
  bool good_ = true;
};

struct civil {
  unsigned year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
};

void read_time(reader& text, civil& when) {
  when.hour = text.number(2);
  text.literal(":");
  when.minute = text.number(2);
  text.literal(":");
  when.second = text.number(2);
}

std::optional<std::int64_t> seconds_of(civil const& when) {
  std::chrono::year_month_day const day(std::chrono::year(static_cast<int>(when.year)), std::chrono::month(when.month),
                                        std::chrono::day(when.day));
  // 60 is a leap second, which Unix time does not have: it is the second that follows.
  if (!day.ok() || when.hour > 23 || when.minute > 59 || when.second > 60) return {};
  return std::int64_t{std::chrono::sys_days(day).time_since_epoch().count()} * 86'400 + when.hour * 3'600 +
         when.minute * 60 + when.second;
}

}  // namespace

std::array<char, date_bytes> format_date(std::int64_t unix_seconds) {
  auto const seconds = std::clamp(unix_seconds, earliest, latest);
  auto const point = std::chrono::sys_seconds(std::chrono::seconds(seconds));
  auto const midnight = std::chrono::floor<std::chrono::days>(point);
  std::chrono::year_month_day const day(midnight);
  std::chrono::weekday const weekday(midnight);
  auto const in_day = static_cast<unsigned>((point - midnight).count());

  std::array<char, date_bytes> text;
  std::ranges::copy(std::string_view("ddd, dd mmm yyyy hh:mm:ss GMT"), text.begin());
  std::ranges::copy(day_names.substr(weekday.c_encoding() * 3u, 3), text.begin());
  put_number(&text[5], 2, static_cast<unsigned>(day.day()));
  std::ranges::copy(month_names.substr((static_cast<unsigned>(day.month()) - 1) * 3u, 3), text.begin() + 8);
  put_number(&text[12], 4, static_cast<unsigned>(static_cast<int>(day.year())));
  put_number(&text[17], 2, in_day / 3'600);
  put_number(&text[20], 2, in_day / 60 % 60);
  put_number(&text[23], 2, in_day % 60);
  return text;
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) {
  civil when;
  auto const comma = text.find(',');
  if (comma == 3) {
    reader fixdate(text.substr(3));   // IMF-fixdate
    fixdate.literal(", ");
    when.day = fixdate.number(2);
    fixdate.literal(" ");
    when.month = fixdate.month();
    fixdate.literal(" ");
    when.year = fixdate.number(4);
    fixdate.literal(" ");
    read_time(fixdate, when);
    fixdate.literal(" GMT");
    return fixdate.is_done() ? seconds_of(when) : std::nullopt;
  }
  if (comma != std::string_view::npos) {
    reader rfc850(text.substr(comma));
    rfc850.literal(", ");
    when.day = rfc850.number(2);
    rfc850.literal("-");
    when.month = rfc850.month();
    rfc850.literal("-");
    auto const short_year = rfc850.number(2);
    rfc850.literal(" ");
    read_time(rfc850, when);
    rfc850.literal(" GMT");
    if (!rfc850.is_done()) return {};
    auto const today = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(now)));
    auto const this_year = static_cast<unsigned>(static_cast<int>(std::chrono::year_month_day(today).year()));
    when.year = this_year / 100 * 100 + short_year;
    if (when.year > this_year + 50) when.year -= 100;
    return seconds_of(when);
  }
  if (text.size() < 4) return {};
  reader asctime(text.substr(3));
  asctime.literal(" ");
  when.month = asctime.month();
  asctime.literal(" ");
  when.day = asctime.padded_day();
  asctime.literal(" ");
  read_time(asctime, when);
  asctime.literal(" ");
  when.year = asctime.number(4);
  return asctime.is_done() ? seconds_of(when) : std::nullopt;
}

}  // namespace morgana::http
