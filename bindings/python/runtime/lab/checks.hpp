// How each call of a simulation begins: whether it may be made at all, and what its numbers name. For
// simulation's sources only; each is a statement that returns the problem.
#pragma once

#include "state.hpp"

#define MORGANA_USABLE() \
  if (auto const ok = usable(); !ok) return std::unexpected(ok.error())
#define MORGANA_FIND(name, which)                                  \
  MORGANA_USABLE();                                                \
  auto const name##_found = self_->find(which);                    \
  if (!name##_found) return std::unexpected(name##_found.error()); \
  auto& name = **name##_found
#define MORGANA_CABLE(name, which)                                            \
  MORGANA_USABLE();                                                           \
  if (which >= self_->cables.size())                                          \
    return bad_value("there is no cable of number " + std::to_string(which)); \
  auto const& name = self_->cables[which]
#define MORGANA_CAPTURE(name, which)                                            \
  MORGANA_USABLE();                                                             \
  if (which >= self_->captures.size())                                          \
    return bad_value("there is no capture of number " + std::to_string(which)); \
  auto& name = *self_->captures[which]
