#include "send_queue.hpp"

#include <algorithm>

namespace morgana::net::tcp {

void send_queue::acknowledge_part(wire::sequence where) {
  auto const gone = where - begin_;
  if (gone <= 0) return;
  // A cursor in a chunk that stays keeps its place: its begin is a sequence number that may lie before
  // begin_.
  if (cursor_ != nullptr) {
    if (cursor_begin_ + cursor_->size <= where) {
      cursor_ = nullptr;
    } else if (cursor_begin_ < where) {
      cursor_begin_ = where;
    }
  }
  bytes_.drop_front(static_cast<std::size_t>(gone));
  begin_ = where;
}

std::size_t send_queue::collect_mixed(wire::sequence from, std::size_t count, segment& into) {
  auto const kept = bytes_.kept();
  auto const inside = std::min(static_cast<std::size_t>(from - begin_), kept.size());
  auto const here = std::min(count, kept.size() - inside);
  if (here != 0) std::memcpy(into.push_header(here).data(), kept.data() + inside, here);
  return here + collect_pieces(from + static_cast<std::uint32_t>(here), count - here, into);
}

std::size_t send_queue::collect_pieces(wire::sequence from, std::size_t count, segment& into) {
  if (cursor_ == nullptr || from < cursor_begin_) {
    cursor_ = bytes_.pieces().front();
    cursor_begin_ = begin_ + static_cast<std::uint32_t>(bytes_.kept().size());
  }
  std::size_t done = 0;
  while (done < count && cursor_ != nullptr) {
    auto const inside = static_cast<std::size_t>(from - cursor_begin_) + done;
    if (inside >= cursor_->size) {
      if (cursor_->next == nullptr) break;
      cursor_begin_ += cursor_->size;
      cursor_ = cursor_->next;
      continue;
    }
    auto const part = std::min(count - done, cursor_->size - inside);
    if (!into.append(cursor_->memory.part(cursor_->begin + inside, part))) break;
    done += part;
  }
  return done;
}

}  // namespace morgana::net::tcp
