#include <cstring>

#include "morgana/http/response.hpp"

namespace morgana::http {

void output_queue::put(std::string_view text) {
  if (text.empty()) return;
  auto* const to = storage_ + used_;
  std::memcpy(to, text.data(), text.size());
  used_ += text.size();
  add_span(to, text.size());
}

void output_queue::refer(std::span<std::byte const> bytes) {
  if (!bytes.empty()) add_span(bytes.data(), bytes.size());
}

void output_queue::keep_copy(std::span<std::byte const> bytes) {
  if (bytes.empty()) return;
  auto copy = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  add_span(copy.get(), bytes.size());
  kept_.push_back(std::move(copy));
}

void output_queue::clear() {
  used_ = span_count_ = bytes_ = 0;
  shared_.reset();
  kept_.clear();
}

void output_queue::add_span(std::byte const* data, std::size_t size) {
  bytes_ += size;
  // Heads of pipelined responses without bodies lie next to each other: one span is cheaper than many.
  if (span_count_ != 0) {
    auto& last = spans_[span_count_ - 1];
    if (last.data() + last.size() == data && data >= storage_ && data < storage_ + capacity_) {
      last = std::span(last.data(), last.size() + size);
      return;
    }
  }
  spans_[span_count_++] = std::span(data, size);
}

}  // namespace morgana::http
