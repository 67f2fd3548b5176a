#include "morgana/storage/error.hpp"

namespace morgana::storage {
namespace {

std::string_view message(std::uint32_t code) {
  switch (static_cast<storage_error>(code)) {
    case storage_error::not_found: return "no such key";
    case storage_error::out_of_range: return "past the end";
    case storage_error::misaligned: return "length is no multiple of the sector";
    case storage_error::read_only: return "read-only";
    case storage_error::input_output: return "input/output error";
    case storage_error::invalid_key: return "invalid key";
  }
  return "unknown error";
}

}  // namespace

error_domain const& domain_of(storage_error) {
  static constexpr error_domain domain{.name = "storage", .message = message};
  return domain;
}

}  // namespace morgana::storage
