<#
Takes copies of files of a Windows machine as evidence: what they are, their SHA-256, signature and streams, and their content under a
harmless name, in an archive that GetFile fetches. Locks a file in place if asked, so that nobody can start it, and unlocks it again.

usage: windows-collect-file.ps1 -Path FILE|FILE... [-MaxMB N] [-Lock]
       windows-collect-file.ps1 -Path FILE|FILE... -Unlock

  -Path FILE|...  the files
  -MaxMB N        refuse a larger file (2048)
  -Lock           after the copy was verified, deny everyone to start the file. What runs goes on. Nothing is deleted.
  -Unlock         take back what -Lock did; other entries that deny something to Everyone go as well

Writes collected-HOST-TIME.zip into $env:JUMPBAG_FILES (else the working folder): 1.bin, 2.bin, ... and about.txt. Without -Lock and
-Unlock it changes nothing else. Links are refused. Needs Windows PowerShell 5.1 or later, and rights to the files.
Exit code: 0 done, 1 a file could not be read, copied or changed, 2 wrong usage (1 where PowerShell itself refuses a parameter).
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [string]$Path = '',
    [string]$MaxMB = '2048',
    [switch]$Lock,
    [switch]$Unlock,
    [switch]$Help,
    [Parameter(ValueFromRemainingArguments = $true)][string[]]$Rest
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# UTF-8 and never wrapped, whatever the console is like; elsewhere than in one, through the pipeline.
$script:out = $null
if ($Host.Name -eq 'ConsoleHost') {
    $script:out = New-Object System.IO.StreamWriter ([Console]::OpenStandardOutput()), (New-Object System.Text.UTF8Encoding $false)
    $script:out.AutoFlush = $true
}
function Write-Line([string]$Text) {
    if ($null -ne $script:out) { $script:out.WriteLine($Text) } else { Write-Output $Text }
}

function Stop-Usage([string]$Why) {
    [Console]::Error.WriteLine($Why + '; -Help tells more')
    exit 2
}

# What could not be read makes the exit code 1; the first 20 are said.
$script:missed = 0
function Write-Miss([string]$What) {
    $script:missed++
    if ($script:missed -le 20) { [Console]::Error.WriteLine('could not read: ' + $What) }
}
function Complete-Script {
    if ($script:missed -gt 20) { [Console]::Error.WriteLine("$($script:missed) things could not be read, of which 20 are named") }
    if ($script:missed -gt 0) { exit 1 }
    exit 0
}

# A whole number, or the end.
function Read-Whole([string]$Name, [string]$Text, [int]$Least, [int]$Most) {
    $number = 0
    if (-not ($Text -match '^[0-9]{1,9}$' -and [int]::TryParse($Text, [ref]$number)) -or $number -lt $Least -or $number -gt $Most) {
        Stop-Usage "$Name takes a whole number from $Least to $Most"
    }
    return $number
}

if ($Help) {
    foreach ($line in [System.IO.File]::ReadAllLines($PSCommandPath)) {
        if ($line -eq '#>') { break }
        if ($line -ne '<#') { Write-Line $line }
    }
    exit 0
}
if ($null -ne $Rest -and $Rest.Count -gt 0) { Stop-Usage ('unknown parameter `' + $Rest[0] + '`') }
if ([System.Environment]::OSVersion.Platform -ne [System.PlatformID]::Win32NT) {
    [Console]::Error.WriteLine('this script is for Windows')
    exit 1
}
$most = [long](Read-Whole '-MaxMB' $MaxMB 1 1048576) * 1048576
$paths = @($Path.Split('|') | Where-Object { $_ -ne '' })
if ($paths.Count -eq 0) { Stop-Usage '-Path says which files' }
if ($Lock -and $Unlock) { Stop-Usage '-Lock and -Unlock exclude each other' }
foreach ($one in $paths) {
    if ($one.IndexOfAny([System.IO.Path]::GetInvalidPathChars()) -ge 0 -or $one -match '[*?]') { Stop-Usage ('`' + $one + '` is no path of a file') }
}

# The SHA-256 of a file, also of one that others write to. Fails where it cannot be read.
function Get-Sha256([string]$File) {
    $share = [System.IO.FileShare]::ReadWrite -bor [System.IO.FileShare]::Delete
    $stream = [System.IO.File]::Open($File, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, $share)
    $algorithm = [System.Security.Cryptography.SHA256]::Create()
    try {
        return [System.BitConverter]::ToString($algorithm.ComputeHash($stream)).Replace('-', '').ToLowerInvariant()
    } finally {
        $algorithm.Dispose()
        $stream.Dispose()
    }
}

# Where the archive will be, and a folder beside it for what is gathered.
$files = $env:JUMPBAG_FILES
if ([string]::IsNullOrEmpty($files)) { $files = (Get-Location -PSProvider FileSystem).ProviderPath }
$stamp = [datetime]::UtcNow.ToString('yyyyMMddTHHmmssZ', [System.Globalization.CultureInfo]::InvariantCulture)
$machine = $env:COMPUTERNAME -replace '[^A-Za-z0-9.-]', '_'
$stage = Join-Path $files ('gathering-' + [guid]::NewGuid().ToString('N'))

# Makes the archive of what was gathered, and says what it is.
function Save-Archive([string]$Name) {
    $target = Join-Path $files $Name
    Add-Type -AssemblyName System.IO.Compression.FileSystem
    [System.IO.Compression.ZipFile]::CreateFromDirectory($stage, $target)
    Write-Line ('archive: ' + $Name)
    Write-Line ('size: ' + (New-Object System.IO.FileInfo $target).Length)
    Write-Line ('sha256: ' + (Get-Sha256 $target))
}

# What a program of Windows says, as lines, and its exit code in $script:code.
function Invoke-Program([string]$Program, [string[]]$Arguments) {
    # With `Stop`, Windows PowerShell 5.1 ends at the first line on standard error.
    $ErrorActionPreference = 'Continue'
    $said = @(& $Program @Arguments 2>&1 | ForEach-Object { [string]$_ })
    $script:code = $LASTEXITCODE
    return $said
}

# What is at a path, when it is a file that may be taken; else null, with a word why not.
function Get-Evidence([string]$File) {
    $item = New-Object System.IO.FileInfo ([System.IO.Path]::Combine($files, $File))
    if ([System.IO.Directory]::Exists($item.FullName)) { Write-Miss ($File + ': it is a folder'); return $null }
    if (-not $item.Exists) { Write-Miss ($File + ': there is no such file'); return $null }
    if (($item.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -ne 0) {
        Write-Miss ($File + ': it is a link, or not wholly on this machine')
        return $null
    }
    return $item
}

# Denies everyone to start a file, or takes that back. Everyone has the same number in all languages.
function Set-Lock([System.IO.FileInfo]$Item, [string[]]$Change) {
    $said = @(Invoke-Program (Join-Path $env:SystemRoot 'System32\icacls.exe') (@($Item.FullName) + $Change))
    if ($script:code -ne 0) { Write-Miss ($Item.FullName + ': its access list cannot be changed: ' + ($said -join ' ')) }
    return ($script:code -eq 0)
}

function Format-Utc([datetime]$Time) {
    return $Time.ToString('yyyy-MM-ddTHH:mm:ssZ', [System.Globalization.CultureInfo]::InvariantCulture)
}

# Copies a file as number $Number and tells about it, a line each.
function Copy-Evidence([System.IO.FileInfo]$Item, [int]$Number) {
    $target = Join-Path $stage ("$Number.bin")
    $share = [System.IO.FileShare]::ReadWrite -bor [System.IO.FileShare]::Delete
    $from = [System.IO.File]::Open($Item.FullName, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, $share)
    try {
        $to = [System.IO.File]::Open($target, [System.IO.FileMode]::CreateNew)
        try { $from.CopyTo($to) } finally { $to.Dispose() }
    } finally { $from.Dispose() }
    $sum = Get-Sha256 $target
    $about = @(
        "file: $Number.bin", ('path: ' + $Item.FullName), ('size: ' + $Item.Length), ('sha256: ' + $sum)
        ('created: ' + (Format-Utc $Item.CreationTimeUtc)), ('written: ' + (Format-Utc $Item.LastWriteTimeUtc))
        ('read: ' + (Format-Utc $Item.LastAccessTimeUtc)), ('attributes: ' + [string]$Item.Attributes)
    )
    try { $about += ('access: ' + (Get-Acl -LiteralPath $Item.FullName).Sddl) } catch { Write-Miss ($Item.FullName + ': its access list') }
    try {
        $signature = Get-AuthenticodeSignature -LiteralPath $Item.FullName
        $about += ('signature: ' + [string]$signature.Status)
        if ($null -ne $signature.SignerCertificate) { $about += ('signer: ' + $signature.SignerCertificate.Subject) }
    } catch { $about += 'signature: unknown' }
    try {
        foreach ($stream in @(Get-Item -LiteralPath $Item.FullName -Stream * -Force)) {
            if ($stream.Stream -eq ':$DATA') { continue }
            $about += ('stream: ' + $stream.Stream + ', ' + $stream.Length + ' bytes')
            # Where a downloaded file came from.
            if ($stream.Stream -eq 'Zone.Identifier' -and $stream.Length -lt 65536) {
                foreach ($line in @(Get-Content -LiteralPath $Item.FullName -Stream 'Zone.Identifier')) { $about += ('    ' + $line) }
            }
        }
    } catch { $about += 'stream: unknown' }
    if ((Get-Sha256 $Item.FullName) -ne $sum) {
        Write-Miss ($Item.FullName + ': it changed while it was copied')
    } elseif ($Lock -and (Set-Lock $Item @('/deny', '*S-1-1-0:(X)'))) {
        $about += 'locked: undo it by -Unlock'
    }
    $about += ''
    foreach ($line in $about) { Write-Line $line }
    [System.IO.File]::AppendAllText((Join-Path $stage 'about.txt'), (($about -join "`r`n") + "`r`n"))
}

if ($Unlock) {
    foreach ($one in $paths) {
        $item = Get-Evidence $one
        if ($null -ne $item -and (Set-Lock $item @('/remove:d', '*S-1-1-0'))) { Write-Line ('unlocked: ' + $item.FullName) }
    }
    Complete-Script
}

try { [void][System.IO.Directory]::CreateDirectory($stage) } catch {
    [Console]::Error.WriteLine('cannot write into ' + $files + ': ' + $_.Exception.Message)
    exit 1
}
$number = 0
try {
    foreach ($one in $paths) {
        $item = Get-Evidence $one
        if ($null -eq $item) { continue }
        if ($item.Length -gt $most) { Write-Miss ($one + ': it has ' + $item.Length + ' bytes, -MaxMB allows more'); continue }
        $number++
        try { Copy-Evidence $item $number } catch { Write-Miss ($one + ': ' + $_.Exception.Message) }
    }
    if ([System.IO.File]::Exists((Join-Path $stage 'about.txt'))) { Save-Archive ('collected-' + $machine + '-' + $stamp + '.zip') }
} catch {
    Write-Miss $_.Exception.Message
} finally {
    Remove-Item -LiteralPath $stage -Recurse -Force -ErrorAction SilentlyContinue
}
Complete-Script
