// libsolv's headers, which are C and name a member `requires`: a keyword here. Include nothing else of it.
#pragma once

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wkeyword-macro"
#pragma clang diagnostic ignored "-Wconversion"
#pragma clang diagnostic ignored "-Wpedantic"
#define requires requires_
#include <solv/pool.h>
// The others expect it before them.
#include <solv/chksum.h>
#include <solv/evr.h>
#include <solv/knownid.h>
#include <solv/poolid.h>
#include <solv/problems.h>
#include <solv/repo.h>
#include <solv/rules.h>
#include <solv/solvable.h>
#include <solv/solver.h>
#undef requires
#pragma clang diagnostic pop
