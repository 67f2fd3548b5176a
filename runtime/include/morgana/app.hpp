// What an application includes: the concepts of every device and what its tasks are written with.
#pragma once

#include "morgana/core/channel.hpp"
#include "morgana/core/clock.hpp"
#include "morgana/core/console.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/event.hpp"
#include "morgana/core/log.hpp"
#include "morgana/core/options.hpp"
#include "morgana/core/random.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/scope.hpp"
#include "morgana/core/semaphore.hpp"
#include "morgana/core/task.hpp"
#include "morgana/net/stack.hpp"
#include "morgana/storage/block_device.hpp"
#include "morgana/storage/key_value_store.hpp"
