// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/provenance.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

#include "src/base/number.h"

namespace vmcore::convert {
namespace {

constexpr std::size_t kMaxRemarks = 64;
constexpr std::size_t kMaxRemark = 1024;  // bytes of its text
constexpr std::size_t kMaxName = 256;     // of a name

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\0') {
      c = ' ';
    }
  }
  return text;
}

// The X of "NAME(X)", or nothing.
std::optional<std::string_view> argument(std::string_view key, std::string_view name) {
  if (key.size() < name.size() + 2 || !key.starts_with(name) || key[name.size()] != '(' ||
      key.back() != ')') {
    return std::nullopt;
  }
  return key.substr(name.size() + 1, key.size() - name.size() - 2);
}

std::string short_line(std::string_view text) {
  return one_line(std::string(text.substr(0, kMaxName)));
}

template <class Number>
std::string fixed_width(const std::optional<Number>& value) {
  return fmt::format("{:<20}", value ? fmt::format("{}", *value) : "");
}

template <class Number>
std::optional<Number> number_or_nothing(std::string_view text) {
  return take_number<Number>(text);
}

std::uint64_t number(std::string_view text) {
  return number_or_nothing<std::uint64_t>(text).value_or(0);
}

struct CaptureText {
  std::string_view key;
  std::string& (*of)(Capture& capture);
};
constexpr std::array kTexts{
    CaptureText{"METHOD", [](Capture& capture) -> std::string& { return capture.method; }},
    CaptureText{"CONSISTENCY",
                [](Capture& capture) -> std::string& { return capture.consistency; }},
    CaptureText{"CRASH", [](Capture& capture) -> std::string& { return capture.crash; }},
    CaptureText{"GUEST", [](Capture& capture) -> std::string& { return capture.guest.name; }},
    CaptureText{"UUID", [](Capture& capture) -> std::string& { return capture.guest.uuid; }},
    CaptureText{"HOST", [](Capture& capture) -> std::string& { return capture.guest.host; }},
    CaptureText{"QEMU", [](Capture& capture) -> std::string& { return capture.guest.qemu; }}};

struct CaptureNumber {
  std::string_view key;
  std::optional<std::uint64_t> CaptureCost::*member;
};
constexpr std::array kNumbers{CaptureNumber{"CAPTURE_TIME", &CaptureCost::time},
                              CaptureNumber{"PAUSE_FORECAST_US", &CaptureCost::forecast_us},
                              CaptureNumber{"PAUSE_US", &CaptureCost::pause_us},
                              CaptureNumber{"DURATION_US", &CaptureCost::duration_us}};

bool take_capture(std::string_view key, std::string_view value, Provenance& into) {
  Capture capture = into.capture.value_or(Capture());
  if (const auto text = std::ranges::find(kTexts, key, &CaptureText::key); text != kTexts.end()) {
    text->of(capture) = value.substr(0, kMaxName);
  } else if (const auto cost = std::ranges::find(kNumbers, key, &CaptureNumber::key);
             cost != kNumbers.end()) {
    capture.cost.*cost->member = number_or_nothing<std::uint64_t>(value);
  } else if (key == "TAG") {
    capture.tag = value.substr(0, kMaxTag);
  } else if (key == "HOST_MEMORY") {
    capture.cost.host_memory = number_or_nothing<std::int64_t>(value);
  } else {
    return false;
  }
  into.capture = std::move(capture);
  return true;
}

std::string capture_lines(Capture capture) {
  std::string text;
  for (const CaptureText& entry : kTexts) {
    if (const std::string& value = entry.of(capture); !value.empty()) {
      text += fmt::format("{}={}\n", entry.key, short_line(value));
    }
  }
  if (!capture.tag.empty()) {
    text += fmt::format("TAG={}\n", one_line(capture.tag.substr(0, kMaxTag)));
  }
  for (const CaptureNumber& entry : kNumbers) {
    text += fmt::format("{}={}\n", entry.key, fixed_width(capture.cost.*entry.member));
  }
  return text + fmt::format("HOST_MEMORY={}\n", fixed_width(capture.cost.host_memory));
}

void add_remark(std::string_view code, std::string_view text, Severity severity, Provenance& into) {
  if (into.remarks.size() < kMaxRemarks) {
    into.remarks.push_back(
        {errc_from_name(code), std::string(text.substr(0, kMaxRemark)), severity});
  }
}

// Whether there is a note.
bool each_line(const MemoryImage& image,
               const std::function<void(std::string_view key, std::string_view value)>& take) {
  const Note* note = image.find_note(kNoteNameProvenance, kNoteTypeProvenance);
  if (note == nullptr) {
    return false;
  }
  std::string_view text(reinterpret_cast<const char*>(note->desc.data()), note->desc.size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (const auto equals = line.find('='); equals != std::string_view::npos) {
      take(line.substr(0, equals), line.substr(equals + 1));
    }
  }
  return true;
}

std::uint64_t note_version(const MemoryImage& image) {
  std::uint64_t version = 1;
  each_line(image, [&](std::string_view key, std::string_view value) {
    version = key == "NOTE_VERSION" ? number(value) : version;
  });
  return version;
}

void take_line(std::string_view key, std::string_view value, Provenance& into) {
  if (take_capture(key, value, into)) {
    return;
  }
  if (key == "VERSION") {
    into.version = value;
  } else if (key == "LEVEL_ASKED") {
    into.level_asked = static_cast<unsigned>(number(value)) & filters::kMaxLevel;
  } else if (key == "LEVEL_REACHED") {
    into.level_reached = static_cast<unsigned>(number(value)) & filters::kMaxLevel;
  } else if (key == "CRASH_TIME") {
    into.crash_time = number(value);
  } else if (key == "CRASH_TIME_SOURCE") {
    for (const TimeSource source :
         {TimeSource::guest, TimeSource::host_event, TimeSource::file_header}) {
      if (value == time_source_name(source)) {
        into.crash_time_source = source;
      }
    }
  } else if (const auto page_class = argument(key, "PAGES")) {
    for (const filters::ClassName& entry : filters::kClassNames) {
      if (entry.name == *page_class) {
        into.pages_by_class[static_cast<std::size_t>(entry.page_class)] = number(value);
      }
    }
  } else if (const auto doubt = argument(key, "REMARK")) {
    add_remark(*doubt, value, Severity::warning, into);
  } else if (const auto fact = argument(key, "FACT")) {
    add_remark(*fact, value, Severity::fact, into);
  }
}

}  // namespace

std::string_view time_source_name(TimeSource source) {
  switch (source) {
    case TimeSource::guest:
      return "guest";
    case TimeSource::host_event:
      return "host event";
    case TimeSource::file_header:
      return "file header";
    case TimeSource::none:
      return "unknown";
  }
  return "unknown";
}

Note make_provenance_note(const Provenance& provenance) {
  std::string text =
      fmt::format("NOTE_VERSION={}\nVERSION={}\nLEVEL_ASKED={}\nLEVEL_REACHED={}\n", kNoteVersion,
                  provenance.version, provenance.level_asked, provenance.level_reached);
  if (provenance.crash_time) {
    text += fmt::format("CRASH_TIME={}\nCRASH_TIME_SOURCE={}\n", *provenance.crash_time,
                        time_source_name(provenance.crash_time_source));
  }
  if (provenance.capture) {
    text += capture_lines(*provenance.capture);
  }
  for (const filters::ClassName& entry : filters::kClassNames) {
    text += fmt::format("PAGES({})={}\n", entry.name,
                        provenance.pages_by_class[static_cast<std::size_t>(entry.page_class)]);
  }
  std::size_t count = 0;
  for (const Remark& remark : provenance.remarks) {
    if (count++ == kMaxRemarks) {
      break;
    }
    text += fmt::format("{}({})={}\n", remark.severity == Severity::fact ? "FACT" : "REMARK",
                        errc_name(remark.code), one_line(remark.text.substr(0, kMaxRemark)));
  }
  Note note{std::string(kNoteNameProvenance), kNoteTypeProvenance, {}};
  const auto bytes = std::as_bytes(std::span(text));
  note.desc.assign(bytes.begin(), bytes.end());
  return note;
}

void remark_on_newer_note(const MemoryImage& image, std::vector<Remark>& remarks) {
  if (const std::uint64_t version = note_version(image); version > kNoteVersion) {
    remarks.push_back(
        {Errc::unsupported,
         fmt::format("the file's own note is of version {}, and this vmcorectl reads versions up "
                     "to {}: what it tells of the dump is not known here",
                     version, kNoteVersion)});
  }
}

std::optional<Provenance> read_provenance(const MemoryImage& image) {
  Provenance provenance;
  const bool there = each_line(image, [&](std::string_view key, std::string_view value) {
    take_line(key, value, provenance);
  });
  const bool known = there && note_version(image) <= kNoteVersion;
  return known ? std::optional(std::move(provenance)) : std::nullopt;
}

unsigned level_before(const MemoryImage& image) {
  const auto provenance = read_provenance(image);
  return (provenance ? provenance->level_reached : image.file.dump_level) & filters::kMaxLevel;
}

bool was_torn(const MemoryImage& image) {
  const auto provenance = read_provenance(image);
  return provenance && provenance->capture && provenance->capture->consistency == "torn";
}

}  // namespace vmcore::convert
