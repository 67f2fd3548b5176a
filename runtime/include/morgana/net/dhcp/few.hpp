// A few values in place: at most Max, and what is beyond is left out. What DHCP messages hold lists in.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace morgana::net::dhcp {

template <class T, std::size_t Max>
class few {
 public:
  few() = default;
  few(std::initializer_list<T> values) {
    for (auto const& one : values) (void)add(one);
  }

  /// False when it is full.
  bool add(T const& one) {
    if (size_ == Max) return false;
    values_[size_++] = one;
    return true;
  }
  /// The first Max of them.
  void assign(std::span<T const> values) {
    size_ = static_cast<std::uint16_t>(std::min(values.size(), Max));
    std::copy_n(values.begin(), size_, values_.begin());
  }
  void clear() { size_ = 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::span<T const> all() const { return std::span(values_).first(size_); }
  [[nodiscard]] T const& operator[](std::size_t at) const { return values_[at]; }
  [[nodiscard]] auto begin() const { return all().begin(); }
  [[nodiscard]] auto end() const { return all().end(); }
  friend bool operator==(few const& a, few const& b) { return std::ranges::equal(a.all(), b.all()); }

 private:
  static_assert(Max <= UINT16_MAX);
  std::array<T, Max> values_{};
  std::uint16_t size_ = 0;
};

/// Text of a message: names of hosts and domains.
using short_text = few<char, 255>;
[[nodiscard]] inline std::string_view view(short_text const& text) {
  return {text.all().data(), text.size()};
}

}  // namespace morgana::net::dhcp
