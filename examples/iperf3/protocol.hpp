// The control connection of iperf3 (3.x): a cookie, then one byte for each change of state, and JSON texts behind a
// length of four bytes.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "morgana/app.hpp"

namespace iperf3 {

using namespace morgana;

inline constexpr duration patience = std::chrono::seconds(10);
inline constexpr std::size_t cookie_bytes = 37;
inline constexpr std::size_t json_bytes_max = 64 * 1024;
inline constexpr std::uint32_t streams_max = 128;

enum class state : std::int8_t {
  access_denied = -1,
  server_error = -2,
  test_start = 1,
  test_running = 2,
  test_end = 4,
  exchange_parameters = 9,
  create_streams = 10,
  server_terminates = 11,
  client_terminates = 12,
  exchange_results = 13,
  display_results = 14,
  done = 16,
};

using cookie = std::array<char, cookie_bytes>;

/// A member's value as it stands, empty when there is none. Only for texts of one object and numbers in it.
inline std::string_view member(std::string_view json, std::string_view key) {
  std::string wanted;
  wanted.append("\"").append(key).append("\":");
  auto const at = json.find(wanted);
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + wanted.size());
  while (json.starts_with(' ') || json.starts_with('\t')) json.remove_prefix(1);
  return json.substr(0, json.find_first_of(",}] \t\n"));
}

inline std::uint64_t number(std::string_view json, std::string_view key, std::uint64_t otherwise) {
  auto const text = member(json, key);
  std::uint64_t value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

template <net::stream Stream>
task<result<void>> read_whole(Stream& from, std::span<std::byte> into, instant deadline) {
  while (!into.empty()) {
    auto const got = co_await from.read(into, deadline);
    if (!got) co_return failure(error(got.error()));
    if (*got == 0) co_return failure(net::net_error::reset);
    into = into.subspan(*got);
  }
  co_return {};
}

template <net::stream Stream>
task<result<state>> read_state(Stream& from, instant deadline) {
  state value{};
  if (auto got = co_await read_whole(from, std::as_writable_bytes(std::span(&value, 1)), deadline); !got) {
    co_return failure(std::move(got.error()));
  }
  co_return value;
}

/// Errors: refused, when the other side is in another state.
template <net::stream Stream>
task<result<void>> expect(Stream& from, state wanted) {
  auto const got = co_await read_state(from, after((co_await this_context()).now(), patience));
  if (!got) co_return failure(error(got.error()));
  if (*got != wanted) co_return failure(net::net_error::refused, static_cast<int>(*got));
  co_return {};
}

template <net::stream Stream>
task<result<void>> write_state(Stream& to, state const value) {
  co_return co_await to.write(std::as_bytes(std::span(&value, 1)), after((co_await this_context()).now(), patience));
}

template <net::stream Stream>
task<result<void>> write_json(Stream& to, std::string const& text) {
  std::array<std::byte, 4> length;
  for (std::size_t i = 0; i < 4; ++i) length[i] = static_cast<std::byte>(text.size() >> (24 - 8 * i));
  std::array<std::span<std::byte const>, 2> const parts{length, std::as_bytes(std::span(text))};
  co_return co_await to.write(std::span<std::span<std::byte const> const>(parts),
                              after((co_await this_context()).now(), patience));
}

/// Errors: message_too_long.
template <net::stream Stream>
task<result<std::string>> read_json(Stream& from) {
  auto const deadline = after((co_await this_context()).now(), patience);
  std::array<std::byte, 4> length;
  if (auto got = co_await read_whole(from, length, deadline); !got) co_return failure(std::move(got.error()));
  std::size_t size = 0;
  for (auto const byte : length) size = size << 8 | std::to_integer<std::size_t>(byte);
  if (size > json_bytes_max) co_return failure(net::net_error::message_too_long);
  std::string text(size, '\0');
  auto got = co_await read_whole(from, std::as_writable_bytes(std::span(text)), deadline);
  if (!got) co_return failure(std::move(got.error()));
  co_return text;
}

/// What one side tells the other at the end. iperf3 numbers its streams 1, 3, 4, 5, ...
inline std::string results(std::span<std::uint64_t const> bytes, bool is_sender, duration length) {
  auto const ms = std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
  auto const seconds = std::to_string(ms / 1000) + "." + std::to_string(1000 + ms % 1000).substr(1);
  std::string text = "{\"cpu_util_total\":0,\"cpu_util_user\":0,\"cpu_util_system\":0,\"sender_has_retransmits\":";
  text.append(is_sender ? "0" : "-1").append(",\"streams\":[");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i != 0) text += ',';
    text.append("{\"id\":").append(std::to_string(i == 0 ? 1 : i + 2)).append(",\"bytes\":");
    text.append(std::to_string(bytes[i])).append(",\"retransmits\":-1,\"jitter\":0,\"errors\":0,\"packets\":0,");
    text.append("\"start_time\":0,\"end_time\":").append(seconds).append("}");
  }
  return text += "]}";
}

}  // namespace iperf3
