// Doubly linked lists through members of the objects themselves. An object is in one list per tag, joins and
// leaves it in constant time, and leaves by itself when it is destroyed.
#pragma once

namespace morgana::net::tcp {

template <class Tag>
class hook {
 public:
  hook() = default;
  hook(hook const&) = delete;
  hook& operator=(hook const&) = delete;
  ~hook() { unlink(); }
  [[nodiscard]] bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class, class>
  friend class list;
  hook* next_ = nullptr;
  hook* previous_ = nullptr;
};

template <class T, class Tag>
class list {
 public:
  list() { root_.next_ = root_.previous_ = &root_; }
  list(list const&) = delete;
  list& operator=(list const&) = delete;
  ~list() {
    while (!empty()) root_.next_->unlink();
    root_.next_ = root_.previous_ = nullptr;
  }
  [[nodiscard]] bool empty() const { return root_.next_ == &root_; }
  [[nodiscard]] T* front() const { return empty() ? nullptr : object(root_.next_); }
  [[nodiscard]] bool has_several() const { return root_.next_ != root_.previous_; }
  /// Of one that is not empty.
  [[nodiscard]] T& first() const { return *object(root_.next_); }
  [[nodiscard]] T* back() const { return empty() ? nullptr : object(root_.previous_); }
  [[nodiscard]] T* next(T const& one) const {
    auto* const other = static_cast<hook<Tag> const&>(one).next_;
    return other == &root_ ? nullptr : object(other);
  }
  [[nodiscard]] T* previous(T const& one) const {
    auto* const other = static_cast<hook<Tag> const&>(one).previous_;
    return other == &root_ ? nullptr : object(other);
  }
  void push_back(T& one) { insert(root_, one); }
  void insert_after(T& place, T& one) { insert(*static_cast<hook<Tag>&>(place).next_, one); }

 private:
  static T* object(hook<Tag>* which) { return static_cast<T*>(which); }
  /// Before `place`.
  void insert(hook<Tag>& place, T& one) {
    hook<Tag>& entry = one;
    entry.next_ = &place;
    entry.previous_ = place.previous_;
    place.previous_->next_ = &entry;
    place.previous_ = &entry;
  }
  mutable hook<Tag> root_;
};

}  // namespace morgana::net::tcp
