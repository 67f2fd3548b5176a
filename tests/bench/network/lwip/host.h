// One lwIP host behind a table of functions. lwIP keeps its state in globals, so each host is a copy of the library.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct frame {
  unsigned char const* bytes;
  unsigned size;
  void (*release)(void* token);      // of the host that sent it
  void* token;
};

struct connection_state {
  uint64_t received;                 // bytes, copied out as a user's read would
  int is_connected, is_ended;
  void const* first;                 // what its user writes when it is told of the connection, as ours does; may be null
  size_t first_size;
  void* pcb;
};

struct lwip_host {
  void (*start)(unsigned number, void (*transmit)(void*, struct frame), void* context, uint32_t const* now_ms);
  void (*input)(struct frame one);
  void (*timers)(void);
  void (*listen)(uint16_t port, struct connection_state* next);     // the state that the next connection takes
  void (*connect)(unsigned number, uint16_t port, struct connection_state* made);
  int (*write)(struct connection_state* to, void const* bytes, size_t size);
  void (*close)(struct connection_state* one);
  void (*bind)(uint16_t port, uint64_t* received);
  void (*send)(unsigned number, uint16_t port, void const* bytes, size_t size);
};

typedef struct lwip_host const* (*lwip_host_entry)(void);
