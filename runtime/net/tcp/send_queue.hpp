// What the user wrote and the peer has not acknowledged, addressed by sequence number.
#pragma once

#include "morgana/net/wire/tcp.hpp"
#include "stream_bytes.hpp"

namespace morgana::net::tcp {

class send_queue {
 public:
  /// So many that a frame's headroom has place for them behind the longest headers: Ethernet with a tag, IPv6, TCP
  /// with all of its options.
  static constexpr std::size_t kept_max = segment_headroom_bytes - (14 + 4 + 40 + 60);

  explicit send_queue(chunk_source& from) : bytes_(from) {}

  /// Of the first byte that will be written.
  void start_at(wire::sequence first) { begin_ = first; }
  [[nodiscard]] wire::sequence begin() const { return begin_; }
  [[nodiscard]] wire::sequence end() const { return begin_ + static_cast<std::uint32_t>(bytes_.size()); }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::size_t append(std::span<std::byte const> bytes) { return bytes_.append(bytes); }
  /// The same for what will leave in segments of that size, of which the next begins at `unsent`: foreseen() knows the
  /// sums of some of them.
  [[nodiscard]] std::size_t append(std::span<std::byte const> bytes, wire::sequence unsent, std::uint32_t segment_bytes) {
    if (bytes_.keeps(bytes.size()) || !sums_.foresee(unsent, end(), segment_bytes)) return bytes_.append(bytes);
    return bytes_.pieces().append(bytes, &sums_);
  }
  [[nodiscard]] std::optional<std::uint16_t> foreseen(wire::sequence from, std::size_t count) {
    return sums_.take(from, static_cast<std::uint32_t>(count));
  }
  void append(slice part) { bytes_.pieces().append(std::move(part)); }
  /// Whether so many are taken without a buffer; and takes them, to be filled.
  [[nodiscard]] bool keeps(std::size_t bytes) const { return bytes_.keeps(bytes); }
  [[nodiscard]] std::span<std::byte> keep(std::size_t bytes) { return bytes_.keep(bytes); }
  /// All there is, when it lies here; else nothing.
  [[nodiscard]] std::span<std::byte const> kept_alone() const { return bytes_.kept_alone(); }
  void clear() {
    bytes_.clear();
    cursor_ = nullptr;
  }
  void acknowledge_to(wire::sequence where) {
    if (where != end()) return acknowledge_part(where);
    acknowledge_all(where);
  }
  /// The same when it is the end.
  void acknowledge_all(wire::sequence where) {
    clear();
    begin_ = where;
  }
  /// Puts [from, from + count) into an empty segment, what is kept here into its header room; says how many bytes
  /// fitted into its slices.
  [[nodiscard, gnu::always_inline]] std::size_t collect(wire::sequence from, std::size_t count, segment& into) {
    auto const kept = bytes_.kept();
    auto const inside = static_cast<std::size_t>(from - begin_);
    if (kept.size() == 0) return collect_behind(from, count, into);
    if (inside + count > kept.size()) [[unlikely]]
      return collect_mixed(from, count, into);
    std::memcpy(into.push_header(count).data(), kept.data() + inside, count);
    return count;
  }

 private:
  void acknowledge_part(wire::sequence where);
  [[nodiscard]] std::size_t collect_behind(wire::sequence from, std::size_t count, segment& into) {
    if (cursor_ == nullptr || from < cursor_begin_) {
      cursor_ = bytes_.pieces().front();
      cursor_begin_ = begin_ + static_cast<std::uint32_t>(bytes_.kept().size());
    }
    if (cursor_ != nullptr) {
      auto const behind = static_cast<std::size_t>(from - cursor_begin_);
      if (behind + count <= cursor_->size) {
        return into.append(cursor_->memory.part(cursor_->begin + behind, count)) ? count : 0;
      }
    }
    return collect_pieces(from, count, into);
  }
  [[nodiscard]] std::size_t collect_mixed(wire::sequence from, std::size_t count, segment& into);
  [[nodiscard]] std::size_t collect_pieces(wire::sequence from, std::size_t count, segment& into);
  stream_bytes<kept_max> bytes_;
  wire::sequence begin_;
  // Where the last collect ended: new data is sent in order, so the next one usually begins there.
  chunk* cursor_ = nullptr;
  wire::sequence cursor_begin_;
  foreseen_sums sums_;
};

}  // namespace morgana::net::tcp
