#include <algorithm>

#include "morgana/http/server.hpp"

namespace morgana::http {

void date_keeper::update(instant now, wall_time wall) {
  constexpr std::string_view name = "Date: ";
  auto const second = std::chrono::floor<std::chrono::seconds>(wall);
  unix_seconds_ = second.time_since_epoch().count();
  auto const text = format_date(unix_seconds_);
  auto at = std::ranges::copy(name, text_.begin()).out;
  at = std::ranges::copy(text, at).out;
  at = std::ranges::copy(std::string_view("\r\n"), at).out;
  size_ = static_cast<std::size_t>(at - text_.begin());
  due_ = after(now, std::chrono::seconds(1) - (wall - second));
}

void date_keeper::forget(instant now) {
  unix_seconds_ = date_stamp::none;
  size_ = 0;
  due_ = after(now, 1s);
}

}  // namespace morgana::http
