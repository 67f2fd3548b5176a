#include "chunks.hpp"

#include <algorithm>
#include <cstring>

namespace morgana::net::tcp {

std::size_t chunk_list::append(std::span<std::byte const> bytes, foreseen_sums* sums) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    if (last_ == nullptr || last_->room() == 0) {
      if (is_refused()) break;
      auto memory = from_->buffers.take_slice(from_->buffers.buffer_bytes());
      if (memory.size() == 0) break;
      auto* const added = from_->nodes.take();
      added->memory = std::move(memory);
      (last_ == nullptr ? first_ : last_->next) = added;
      last_ = added;
      ++count_;
    }
    auto const count = std::min(bytes.size() - done, last_->room());
    // Nobody else has seen the room behind the used bytes: only these are ever put into segments.
    auto* const to = const_cast<std::byte*>(last_->memory.bytes().data()) + last_->begin + last_->size;
    if (sums != nullptr) {
      sums->copy(to, bytes.subspan(done, count));
    } else {
      std::memcpy(to, bytes.data() + done, count);
    }
    last_->size += static_cast<std::uint32_t>(count);
    done += count;
  }
  size_ += static_cast<std::uint32_t>(done);
  return done;
}

void chunk_list::prepend(slice part) {
  if (part.size() == 0) return;
  auto* const added = from_->nodes.take();
  added->size = static_cast<std::uint32_t>(part.size());
  added->memory = std::move(part);
  added->next = first_;
  first_ = added;
  if (last_ == nullptr) last_ = added;
  size_ += added->size;
  ++count_;
}

void chunk_list::append(chunk_list& other) {
  if (other.first_ == nullptr) return;
  (last_ == nullptr ? first_ : last_->next) = other.first_;
  last_ = other.last_;
  size_ += std::exchange(other.size_, 0u);
  count_ += std::exchange(other.count_, 0u);
  other.first_ = other.last_ = nullptr;
}

void chunk_list::drop_front(std::size_t bytes) {
  size_ -= static_cast<std::uint32_t>(bytes);
  while (bytes != 0) {
    auto* const front = first_;
    if (bytes < front->size) {
      front->begin += static_cast<std::uint32_t>(bytes);
      front->size -= static_cast<std::uint32_t>(bytes);
      return;
    }
    bytes -= front->size;
    drop_first();
  }
}

void chunk_list::clear() {
  while (first_ != nullptr) from_->nodes.give(std::exchange(first_, first_->next));
  last_ = nullptr;
  size_ = count_ = 0;
}

std::size_t chunk_list::take_out(std::span<std::byte> into) {
  auto* to = into.data();
  auto room = into.size();
  while (first_ != nullptr && room != 0) {
    auto* const front = first_;
    auto const count = std::min<std::size_t>(front->size, room);
    std::memcpy(to, front->memory.bytes().data() + front->begin, count);
    to += count;
    room -= count;
    if (count != front->size) {
      front->begin += static_cast<std::uint32_t>(count);
      front->size -= static_cast<std::uint32_t>(count);
      break;
    }
    drop_first();
  }
  auto const done = into.size() - room;
  size_ -= static_cast<std::uint32_t>(done);
  return done;
}

}  // namespace morgana::net::tcp
