#include "store_client.hpp"

#include <cstring>

namespace morgana::xen {

bool store_client::put(store_operation what, std::uint32_t request, std::uint32_t transaction,
                       std::string_view first, std::string_view second, last_part last) {
  auto const has_second = second.data() != nullptr;
  // A NUL ends a text there; one within would be another request than the one that was meant.
  if (first.find('\0') != std::string_view::npos) return false;
  auto const bare = has_second && last == last_part::bare;
  if (has_second && !bare && second.find('\0') != std::string_view::npos) return false;
  if (first.size() > store_payload_bytes_max || second.size() > store_payload_bytes_max) return false;
  auto const size = first.size() + 1 + (has_second ? second.size() + (bare ? 0 : 1) : 0);
  if (size > store_payload_bytes_max) return false;
  if (outgoing_.size() - outgoing_size_ < sizeof(store_header) + size) return false;
  store_header const header{.operation = static_cast<std::uint32_t>(what),
                            .request = request,
                            .transaction = transaction,
                            .bytes = static_cast<std::uint32_t>(size)};
  auto const add = [&](void const* bytes, std::size_t count) {
    if (count != 0) std::memcpy(outgoing_.data() + outgoing_size_, bytes, count);
    outgoing_size_ += count;
  };
  constexpr char nul = '\0';
  add(&header, sizeof header);
  add(first.data(), first.size());
  add(&nul, 1);
  if (has_second) add(second.data(), second.size());
  if (has_second && !bare) add(&nul, 1);
  return true;
}

bool store_client::read(std::uint32_t request, std::uint32_t transaction, std::string_view path) {
  return put(store_operation::read, request, transaction, path, {}, last_part::ended_by_nul);
}

bool store_client::directory(std::uint32_t request, std::uint32_t transaction, std::string_view path) {
  return put(store_operation::directory, request, transaction, path, {}, last_part::ended_by_nul);
}

bool store_client::write(std::uint32_t request, std::uint32_t transaction, std::string_view path,
                         std::string_view value) {
  // An empty value is one, too.
  if (value.data() == nullptr) value = "";
  return put(store_operation::write, request, transaction, path, value, last_part::bare);
}

bool store_client::make_directory(std::uint32_t request, std::uint32_t transaction, std::string_view path) {
  return put(store_operation::make_directory, request, transaction, path, {}, last_part::ended_by_nul);
}

bool store_client::remove(std::uint32_t request, std::uint32_t transaction, std::string_view path) {
  return put(store_operation::remove, request, transaction, path, {}, last_part::ended_by_nul);
}

bool store_client::watch(std::uint32_t request, std::string_view path, std::string_view token) {
  return put(store_operation::watch, request, 0, path, token, last_part::ended_by_nul);
}

bool store_client::unwatch(std::uint32_t request, std::string_view path, std::string_view token) {
  return put(store_operation::unwatch, request, 0, path, token, last_part::ended_by_nul);
}

bool store_client::transaction_start(std::uint32_t request) {
  return put(store_operation::transaction_start, request, 0, "", {}, last_part::ended_by_nul);
}

bool store_client::transaction_end(std::uint32_t request, std::uint32_t transaction, end how) {
  return put(store_operation::transaction_end, request, transaction, how == end::commit ? "T" : "F", {},
             last_part::ended_by_nul);
}

bool store_client::transmit(byte_ring& requests) {
  auto const moved = requests.write({outgoing_.data(), outgoing_size_});
  outgoing_size_ -= moved;
  std::memmove(outgoing_.data(), outgoing_.data() + moved, outgoing_size_);
  return moved != 0;
}

std::optional<store_event> store_client::receive(byte_ring& replies) {
  while (!is_broken_) {
    store_header header{};
    std::size_t wanted = sizeof header;
    if (incoming_size_ >= sizeof header) {
      std::memcpy(&header, incoming_.data(), sizeof header);
      if (header.bytes > store_payload_bytes_max) {
        is_broken_ = true;
        break;
      }
      wanted += header.bytes;
      if (incoming_size_ == wanted) {
        incoming_size_ = 0;
        auto const* const payload = reinterpret_cast<char const*>(incoming_.data()) + sizeof header;
        return event_of(header, {payload, header.bytes});
      }
    }
    auto const taken = replies.read({incoming_.data() + incoming_size_, wanted - incoming_size_});
    if (taken == 0) {
      is_broken_ = replies.is_broken();
      break;
    }
    incoming_size_ += taken;
  }
  return std::nullopt;
}

std::optional<store_event> store_client::event_of(store_header const& header, std::string_view payload) {
  auto const what = static_cast<store_operation>(header.operation);
  auto const end = payload.find('\0');
  if (what == store_operation::error) {
    return store_event{
        .what = store_event::kind::error, .request = header.request, .text = payload.substr(0, end)};
  }
  if (what != store_operation::watch_event) {
    return store_event{.what = store_event::kind::reply, .request = header.request, .text = payload};
  }
  // Path and token, each ended by a NUL.
  auto const token_end = end == std::string_view::npos ? end : payload.find('\0', end + 1);
  if (token_end == std::string_view::npos) {
    is_broken_ = true;
    return std::nullopt;
  }
  return store_event{.what = store_event::kind::watch,
                     .text = payload.substr(0, end),
                     .token = payload.substr(end + 1, token_end - end - 1)};
}

}  // namespace morgana::xen
