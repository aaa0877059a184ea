/* A program for scripts/try-windows-agent: says what it was given, or stays. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>
#include <fcntl.h>
#include <io.h>

static void say(const wchar_t *text) {
    char bytes[32768];
    WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof bytes, NULL, NULL);
    fputs(bytes, stdout);
}

int wmain(int count, wchar_t **words) {
    const wchar_t *what = count > 1 ? words[1] : L"";
    _setmode(_fileno(stdout), _O_BINARY);
    if (!wcscmp(what, L"args")) {
        for (int i = 2; i < count; i++) {
            say(L"["), say(words[i]), say(L"]\n");
        }
    } else if (!wcscmp(what, L"env")) {
        for (wchar_t *all = GetEnvironmentStringsW(); *all; all += wcslen(all) + 1) {
            say(all), say(L"\n");
        }
    } else if (!wcscmp(what, L"family")) {
        /* A child that is detached, and in a process group of its own. */
        wchar_t line[4096];
        STARTUPINFOW startup = {sizeof startup};
        PROCESS_INFORMATION child;
        _snwprintf(line, 4096, L"\"%ls\" sleep", words[0]);
        CreateProcessW(NULL, line, NULL, NULL, FALSE, DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP, NULL, NULL, &startup, &child);
        Sleep(INFINITE);
    } else if (!wcscmp(what, L"sleep")) {
        Sleep(INFINITE);
    }
    return 0;
}
