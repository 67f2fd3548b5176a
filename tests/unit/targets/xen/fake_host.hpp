// A guest's surroundings on Xen, in memory: a grant table, event channels that call a backend, and a xenstore that
// keeps what is written and fires watches. What others do happens when the executor comes to it, as on Xen: never
// within the call that caused it.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/driver_host.hpp"
#include "fake_platform.hpp"

namespace morgana::xen::test {

/// xenstore's side of the rings.
class fake_store final : public store_link, private ready_node {
 public:
  explicit fake_store(executor& runs) : runs_(&runs) {}

  void attach(store_user& user) override { user_ = &user; }
  [[nodiscard]] store_client& client() override { return client_; }
  void flush() override {
    client_.transmit(requests_);
    if (answers) runs_->make_ready(*this);
  }

  /// What a tool or a backend writes.
  void set(std::string const& path, std::string const& value) {
    keys[path] = value;
    fire(path);
  }
  void erase(std::string const& path) {
    keys.erase(path);
    fire(path);
  }
  [[nodiscard]] std::string value(std::string const& path) const {
    auto const found = keys.find(path);
    return found == keys.end() ? std::string() : found->second;
  }

  std::map<std::string, std::string> keys;
  bool answers = true;
  unsigned conflicts = 0;                                              ///< transactions to refuse once
  std::function<void(std::string const&, std::string const&)> on_write;  ///< after each write
  std::vector<std::pair<std::string, std::string>> watches;            ///< path, token

 private:
  void run() override {
    std::byte piece[512];
    do {
      for (std::size_t size = 0; (size = from_client_.read(piece)) != 0;) {
        arrived_.append(reinterpret_cast<char const*>(piece), size);
      }
    } while (client_.transmit(requests_));
    while (arrived_.size() >= sizeof(store_header)) {
      store_header header{};
      std::memcpy(&header, arrived_.data(), sizeof header);
      if (arrived_.size() < sizeof header + header.bytes) break;
      auto const payload = arrived_.substr(sizeof header, header.bytes);
      arrived_.erase(0, sizeof header + header.bytes);
      handle(header, payload);
    }
    deliver();
  }

  void handle(store_header const& from, std::string const& payload) {
    auto const end = payload.find('\0');
    auto const path = payload.substr(0, end);
    auto const rest = end == std::string::npos ? std::string() : payload.substr(end + 1);
    switch (static_cast<store_operation>(from.operation)) {
      case store_operation::read:
        if (auto const found = keys.find(path); found != keys.end()) return answer(from, found->second);
        return answer_error(from, "ENOENT");
      case store_operation::write:
        keys[path] = rest;
        answer(from, "OK");
        if (on_write) on_write(path, rest);
        return fire(path);
      case store_operation::remove:
        keys.erase(path);
        answer(from, "OK");
        return fire(path);
      case store_operation::watch:
        watches.emplace_back(path, rest.substr(0, rest.find('\0')));
        answer(from, "OK");
        return send_watch(path, watches.back().second);
      case store_operation::unwatch:
        std::erase_if(watches, [&](auto const& one) { return one.first == path; });
        return answer(from, "OK");
      case store_operation::transaction_start:
        return answer(from, std::string("7\0", 2));
      case store_operation::transaction_end:
        if (path == "T" && conflicts != 0) {
          --conflicts;
          return answer_error(from, "EAGAIN");
        }
        return answer(from, "OK");
      default:
        return answer_error(from, "ENOSYS");
    }
  }
  void fire(std::string const& path) {
    for (auto const& [watched, token] : watches) {
      if (path.starts_with(watched)) send_watch(path, token);
    }
    deliver();
  }
  void send_watch(std::string const& path, std::string const& token) {
    send(store_operation::watch_event, 0, path + '\0' + token + '\0');
  }
  void answer(store_header const& to, std::string const& text) {
    send(static_cast<store_operation>(to.operation), to.request, text);
  }
  void answer_error(store_header const& to, std::string const& name) {
    send(store_operation::error, to.request, name + '\0');
  }
  void send(store_operation what, std::uint32_t request, std::string const& payload) {
    store_header const header{static_cast<std::uint32_t>(what), request, 0, static_cast<std::uint32_t>(payload.size())};
    waiting_.append(reinterpret_cast<char const*>(&header), sizeof header);
    waiting_ += payload;
  }
  void deliver() {
    while (!waiting_.empty()) {
      waiting_.erase(0, to_client_.write(std::as_bytes(std::span(waiting_))));
      while (auto const event = client_.receive(replies_)) user_->take(*event);
    }
  }

  executor* runs_;
  store_user* user_ = nullptr;
  store_client client_;
  store_page page_{};
  byte_ring requests_{page_.requests, page_.requests_put, page_.requests_taken};
  byte_ring from_client_{page_.requests, page_.requests_taken, page_.requests_put};
  byte_ring to_client_{page_.replies, page_.replies_put, page_.replies_taken};
  byte_ring replies_{page_.replies, page_.replies_taken, page_.replies_put};
  std::string arrived_, waiting_;
};

class fake_host final : public driver_host, private ready_node {
 public:
  static constexpr std::size_t entries = 2048;

  fake_host(executor& runs, fake_store& keys) : driver_host(keys), runs_(&runs) { grants.start(table); }

  [[nodiscard]] result<event_port> open_port(domain) override {
    if (refuses_ports) return failure(driver_error::no_port, 28);
    open_ports.push_back(next_port_);
    return next_port_++;
  }
  void close_port(event_port port) override { std::erase(open_ports, port); }
  void send_event(event_port) override {
    ++events_sent;
    if (on_event) runs_->make_ready(*this);
  }
  /// Frames are numbers of our own: `memory_of` gives the page back.
  [[nodiscard]] std::uint32_t frame_of(void const* page) const override {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      if (frames_[i] == page) return static_cast<std::uint32_t>(i + 1);
    }
    frames_.push_back(const_cast<void*>(page));
    return static_cast<std::uint32_t>(frames_.size());
  }

  /// The page of a grant as the backend would map it; null where it may not.
  [[nodiscard]] std::byte* map(grant_reference reference) const {
    if (reference >= entries || (table[reference].flags & grant_permits) == 0) return nullptr;
    auto const frame = table[reference].frame;
    return frame == 0 || frame > frames_.size() ? nullptr : static_cast<std::byte*>(frames_[frame - 1]);
  }
  /// An event of the backend's arrives.
  void wake() { events_came(); }

  std::array<grant_entry, entries> table{};
  std::vector<event_port> open_ports;
  std::function<void()> on_event;  ///< the backend, told by any port
  bool refuses_ports = false;
  unsigned events_sent = 0;

 private:
  void run() override { on_event(); }
  executor* runs_;
  event_port next_port_ = 5;
  mutable std::vector<void*> frames_;
};

}  // namespace morgana::xen::test
