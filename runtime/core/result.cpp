#include "morgana/core/result.hpp"

#include <new>

#include "morgana/core/text.hpp"

namespace morgana {

/// One step of the chain: what was being done, and the error that ended it.
struct error::link {
  std::string_view activity;
  error cause;
};

void error::unlink::operator()(link* chain) const noexcept {
  // A chain is as long as the code nests, not as long as input says: recursion is bounded.
  delete chain;
}

error::error(error const& other)
    : domain_(other.domain_),
      code_(other.code_),
      detail_(other.detail_),
      link_(other.link_ == nullptr ? nullptr : new link(*other.link_)) {}

error& error::operator=(error const& other) {
  if (this != &other) {
    domain_ = other.domain_;
    code_ = other.code_;
    detail_ = other.detail_;
    link_.reset(other.link_ == nullptr ? nullptr : new link(*other.link_));
  }
  return *this;
}

std::string_view error::activity() const {
  return link_ == nullptr ? std::string_view() : link_->activity;
}

error const* error::cause() const {
  return link_ == nullptr ? nullptr : &link_->cause;
}

error error::during(std::string_view activity) && {
  // The outer error repeats domain and code, so that is() answers at every level of the chain.
  error outer(*domain_, code_, detail_);
  outer.link_.reset(new link{activity, std::move(*this)});
  return outer;
}

namespace {

std::string_view core_error_message(std::uint32_t code) {
  switch (static_cast<core_error>(code)) {
    case core_error::timed_out:
      return "timed out";
    case core_error::cancelled:
      return "cancelled";
    case core_error::limit_reached:
      return "limit reached";
    case core_error::out_of_memory:
      return "out of memory";
    case core_error::invalid_argument:
      return "invalid argument";
    case core_error::not_found:
      return "not found";
    case core_error::device_missing:
      return "this device is missing";
    case core_error::not_supported:
      return "not supported";
    case core_error::not_seeded:
      return "randomness is not seeded yet";
    case core_error::closed:
      return "closed";
  }
  return "unknown core error";
}

constinit error_domain const core_domain{"core", core_error_message};

}  // namespace

error_domain const& domain_of(core_error) {
  return core_domain;
}

void write_text(text_writer& out, error const& value) {
  error const* at = &value;
  for (; at->cause() != nullptr; at = at->cause()) {
    out.put(at->activity());
    out.put(": ");
  }
  out.put(at->message());
  if (at->detail() != 0) {
    out.put(" (");
    out.put_signed(at->detail());
    out.put(')');
  }
}

}  // namespace morgana
