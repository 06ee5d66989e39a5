#include "src/convert/provenance.h"

#include "src/base/number.h"

namespace vmcore::convert {
namespace {

constexpr std::size_t kMaxRemarks = 64;
constexpr std::size_t kMaxRemark = 1024;  // bytes of its text

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

bool take_capture(std::string_view key, std::string_view value, Provenance& into) {
  Capture capture = into.capture.value_or(Capture());
  if (key == "METHOD") {
    capture.method = value;
  } else if (key == "CONSISTENCY") {
    capture.consistency = value;
  } else if (key == "CRASH") {
    capture.crash = value;
  } else if (key == "TAG") {
    capture.tag = value.substr(0, kMaxTag);
  } else if (key == "PAUSE_US") {
    capture.cost.pause_us = number_or_nothing<std::uint64_t>(value);
  } else if (key == "HOST_MEMORY") {
    capture.cost.host_memory = number_or_nothing<std::int64_t>(value);
  } else {
    return false;
  }
  into.capture = std::move(capture);
  return true;
}

void add_remark(std::string_view code, std::string_view text, Severity severity, Provenance& into) {
  if (into.remarks.size() < kMaxRemarks) {
    into.remarks.push_back(
        {errc_from_name(code), std::string(text.substr(0, kMaxRemark)), severity});
  }
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
      fmt::format("VERSION={}\nLEVEL_ASKED={}\nLEVEL_REACHED={}\n", provenance.version,
                  provenance.level_asked, provenance.level_reached);
  if (provenance.crash_time) {
    text += fmt::format("CRASH_TIME={}\nCRASH_TIME_SOURCE={}\n", *provenance.crash_time,
                        time_source_name(provenance.crash_time_source));
  }
  if (const auto& capture = provenance.capture) {
    text +=
        fmt::format("METHOD={}\nCONSISTENCY={}\nPAUSE_US={}\nHOST_MEMORY={}\n",
                    one_line(capture->method), one_line(capture->consistency),
                    fixed_width(capture->cost.pause_us), fixed_width(capture->cost.host_memory));
    if (!capture->crash.empty()) {
      text += fmt::format("CRASH={}\n", one_line(capture->crash));
    }
    if (!capture->tag.empty()) {
      text += fmt::format("TAG={}\n", one_line(capture->tag));
    }
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

std::optional<Provenance> read_provenance(const MemoryImage& image) {
  const Note* note = image.find_note(kNoteNameProvenance, kNoteTypeProvenance);
  if (note == nullptr) {
    return std::nullopt;
  }
  Provenance provenance;
  std::string_view text(reinterpret_cast<const char*>(note->desc.data()), note->desc.size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (const auto equals = line.find('='); equals != std::string_view::npos) {
      take_line(line.substr(0, equals), line.substr(equals + 1), provenance);
    }
  }
  return provenance;
}

unsigned level_before(const MemoryImage& image) {
  const auto provenance = read_provenance(image);
  return (provenance ? provenance->level_reached : image.file.dump_level) & filters::kMaxLevel;
}

}  // namespace vmcore::convert
