// What the user wrote and the peer has not acknowledged, addressed by sequence number.
#pragma once

#include "chunks.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::tcp {

class send_queue {
 public:
  explicit send_queue(chunk_source& from) : bytes_(from) {}

  /// Of the first byte that will be written.
  void start_at(wire::sequence first) { begin_ = first; }
  [[nodiscard]] wire::sequence begin() const { return begin_; }
  [[nodiscard]] wire::sequence end() const { return begin_ + static_cast<std::uint32_t>(bytes_.size()); }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::size_t append(std::span<std::byte const> bytes) { return bytes_.append(bytes); }
  void append(slice part) { bytes_.append(std::move(part)); }
  void clear() {
    bytes_.clear();
    cursor_ = nullptr;
  }
  void acknowledge_to(wire::sequence where) {
    if (where != end()) return acknowledge_part(where);
    clear();
    begin_ = where;
  }
  /// Puts [from, from + count) behind what is in `into`; says how many bytes fitted into its slices.
  [[nodiscard]] std::size_t collect(wire::sequence from, std::size_t count, segment& into) {
    if (cursor_ == nullptr || from < cursor_begin_) {
      cursor_ = bytes_.front();
      cursor_begin_ = begin_;
    }
    if (cursor_ != nullptr) {
      auto const inside = static_cast<std::size_t>(from - cursor_begin_);
      if (inside + count <= cursor_->size) {
        return into.append(cursor_->memory.part(cursor_->begin + inside, count)) ? count : 0;
      }
    }
    return collect_pieces(from, count, into);
  }

 private:
  void acknowledge_part(wire::sequence where);
  [[nodiscard]] std::size_t collect_pieces(wire::sequence from, std::size_t count, segment& into);
  chunk_list bytes_;
  wire::sequence begin_;
  // Where the last collect ended: new data is sent in order, so the next one usually begins there.
  chunk* cursor_ = nullptr;
  wire::sequence cursor_begin_;
};

}  // namespace morgana::net::tcp
