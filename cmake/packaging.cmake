# Install rules and cpack: .deb, .rpm and a relocatable tarball (`cpack -G DEB`, RPM, TGZ).
include(GNUInstallDirs)

install(TARGETS vmcorectl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# vmcorectl looks for it in ../libexec/vmcorectl, wherever the tree was moved (src/sandbox/worker.h).
install(TARGETS vmcore-worker RUNTIME DESTINATION libexec/vmcorectl)
install(FILES docs/man/vmcorectl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES src/cli/completion.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME vmcorectl)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB RPM TGZ)
set(CPACK_PACKAGE_NAME vmcorectl)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR "The vmcorectl authors")
set(CPACK_PACKAGE_CONTACT "The vmcorectl authors <vmcorectl@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_DESCRIPTION
    "vmcorectl turns a crashed, hung or running KVM guest into a small vmcore that crash and drgn open.")
set(CPACK_PACKAGE_FILE_NAME "vmcorectl-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_CURRENT_SOURCE_DIR}/LICENSE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE GPL-2.0-or-later)
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /usr/share/man /usr/share/man/man1 /usr/libexec /usr/share/bash-completion
    /usr/share/bash-completion/completions)
include(CPack)
