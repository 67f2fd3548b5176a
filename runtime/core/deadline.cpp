#include "morgana/core/deadline.hpp"

namespace morgana {

namespace detail {

void sleep_operation::begin(instant when) {
  if (when <= context().now()) {
    complete();
  } else {
    context().executor().arm(*this, when);
  }
}

void alarm::begin(context& in, instant deadline) {
  if (deadline <= in.now()) {
    in.executor().make_ready(*this);
  } else {
    in.executor().arm(*this, deadline);
  }
}

void alarm::stop() {
  disarm();
  unlink();
}

}  // namespace detail
}  // namespace morgana
