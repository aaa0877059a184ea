<#
What starts by itself on a Windows machine: services and drivers, scheduled tasks, Run keys of all users that are loaded, start-up
folders, WMI subscriptions, Winlogon, debuggers set on programs, LSA packages, AppInit and AppCert DLLs, print monitors, Active
Setup, netsh helpers, logon scripts, BITS jobs.

usage: windows-persistence.ps1 [-Microsoft] [-Drivers] [-Hash] [-Limit N] [-Json]

  -Microsoft  also scheduled tasks below \Microsoft\
  -Drivers    also drivers
  -Hash       the SHA-256 of the program of each service, driver and task, where its file can be told
  -Limit N    at most so many lines (20000)
  -Json       one JSON object a line

Changes nothing. Needs Windows PowerShell 5.1 or later, and administrator for all users' keys and tasks. Keys of users that are not
signed in are not loaded, and not shown: the list says which profiles these are.
Exit code: 0 done, 1 something could not be read, 2 wrong usage (1 where PowerShell itself refuses a parameter).
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [switch]$Microsoft,
    [switch]$Drivers,
    [switch]$Hash,
    [string]$Limit = '20000',
    [switch]$Json,
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
$maximum = Read-Whole '-Limit' $Limit 1 10000000

# One thing found, at most $Limit of a section: a line of JSON, or of KEY=VALUE without the empty ones.
$script:lines = 0
function Write-Found([string]$Kind, [System.Collections.Specialized.OrderedDictionary]$Values) {
    $script:lines++
    if ($script:lines -gt $maximum) {
        if ($script:lines -eq $maximum + 1) {
            [Console]::Error.WriteLine("more than $maximum lines: the rest is left out, -Limit allows more")
        }
        return
    }
    if ($Json) {
        $all = [ordered]@{ kind = $Kind }
        foreach ($key in $Values.Keys) { $all[$key] = $Values[$key] }
        Write-Line (ConvertTo-Json -InputObject ([pscustomobject]$all) -Compress -Depth 3)
        return
    }
    $text = $Kind
    foreach ($key in $Values.Keys) {
        $value = [string]$Values[$key]
        if ($value -ne '') {
            $value = [regex]::Replace($value, '[\x00-\x1f\x7f-\x9f]', { param($match) '\x{0:x2}' -f [int][char]$match.Value })
            $text += '  ' + $key + '=' + $value
        }
    }
    Write-Line $text
}

function Format-Time($Time) {
    if ($null -eq $Time) { return $null }
    return ([datetime]$Time).ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', [System.Globalization.CultureInfo]::InvariantCulture)
}

# Runs a part that other parts do not depend on: what fails is said, and the next part goes on.
function Invoke-Part([string]$Name, [scriptblock]$Part) {
    try { & $Part } catch { Write-Miss ($Name + ': ' + $_.Exception.Message) }
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

# The file that a command line begins with, or null where it cannot be told.
function Find-Program([string]$Command) {
    if ([string]::IsNullOrEmpty($Command)) { return $null }
    $text = [System.Environment]::ExpandEnvironmentVariables($Command.Trim())
    $text = $text -replace '^\\\?\?\\', ''
    $text = $text -replace '^\\SystemRoot\\', ($env:SystemRoot.Replace('$', '$$') + '\')
    $text = $text -replace '^system32\\', ($env:SystemRoot.Replace('$', '$$') + '\system32\')
    if ($text -match '^"([^"]+)"') {
        if ([System.IO.File]::Exists($Matches[1])) { return $Matches[1] }
        return $null
    }
    # Without quotes the name may hold blanks: it ends where there is a file.
    $words = $text.Split(' ')
    $name = ''
    foreach ($word in $words) {
        if ($name -eq '') { $name = $word } else { $name = $name + ' ' + $word }
        foreach ($try in @($name, ($name + '.exe'))) {
            if ($try -match '^[A-Za-z]:\\' -and [System.IO.File]::Exists($try)) { return $try }
        }
    }
    return $null
}

$script:hashes = @{}
function Get-CommandHash([string]$Command) {
    if (-not $Hash) { return $null }
    $file = Find-Program $Command
    if ($null -eq $file) { return $null }
    $key = $file.ToLowerInvariant()
    if (-not $script:hashes.ContainsKey($key)) {
        $script:hashes[$key] = $null
        try { $script:hashes[$key] = Get-Sha256 $file } catch { Write-Miss ($file + ': ' + $_.Exception.Message) }
    }
    return $script:hashes[$key]
}

# A value of a key as text, or null where there is none.
function Get-Value([string]$Key, [string]$Name) {
    try {
        $item = Get-Item -LiteralPath $Key -ErrorAction Stop
    } catch [System.Management.Automation.ItemNotFoundException] {
        return $null
    } catch {
        Write-Miss ($Key + ': ' + $_.Exception.Message)
        return $null
    }
    $value = $item.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
    if ($null -eq $value) { return $null }
    return (@($value) -join '; ')
}

# All values of a key, one found each.
function Show-Values([string]$Kind, [string]$Key) {
    try {
        $item = Get-Item -LiteralPath $Key -ErrorAction Stop
    } catch [System.Management.Automation.ItemNotFoundException] {
        return
    } catch {
        Write-Miss ($Key + ': ' + $_.Exception.Message)
        return
    }
    foreach ($name in $item.GetValueNames()) {
        $value = $item.GetValue($name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        Write-Found $Kind ([ordered]@{
            place = $item.Name; name = $name; command = (@($value) -join '; '); user = $null; state = $null; sha256 = $null
        })
    }
}

# One value of a key, if it is there.
function Show-Value([string]$Kind, [string]$Key, [string]$Name) {
    $value = Get-Value $Key $Name
    if (-not [string]::IsNullOrEmpty($value)) {
        Write-Found $Kind ([ordered]@{
            place = $Key.Replace('Registry::', ''); name = $Name; command = $value; user = $null; state = $null; sha256 = $null
        })
    }
}

# One value of each key below a key.
function Show-Below([string]$Kind, [string]$Key, [string]$Name) {
    foreach ($child in @(Get-ChildItem -LiteralPath $Key -ErrorAction SilentlyContinue)) {
        Show-Value $Kind ('Registry::' + $child.Name) $Name
    }
}

$machine = 'Registry::HKEY_LOCAL_MACHINE'
$current = '\SOFTWARE\Microsoft\Windows\CurrentVersion'
$current32 = '\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion'
$nt = '\SOFTWARE\Microsoft\Windows NT\CurrentVersion'

Invoke-Part 'services' {
    foreach ($service in @(Get-CimInstance -ClassName Win32_Service)) {
        $dll = Get-Value ($machine + '\SYSTEM\CurrentControlSet\Services\' + $service.Name + '\Parameters') 'ServiceDll'
        $failure = Get-Value ($machine + '\SYSTEM\CurrentControlSet\Services\' + $service.Name) 'FailureCommand'
        Write-Found 'service' ([ordered]@{
            place = $null; name = $service.Name; command = $service.PathName; user = $service.StartName
            state = ($service.StartMode + ', ' + $service.State); sha256 = (Get-CommandHash $service.PathName); dll = $dll; onFailure = $failure
        })
    }
}
if ($Drivers) {
    Invoke-Part 'drivers' {
        foreach ($driver in @(Get-CimInstance -ClassName Win32_SystemDriver)) {
            Write-Found 'driver' ([ordered]@{
                place = $null; name = $driver.Name; command = $driver.PathName; user = $null
                state = ($driver.StartMode + ', ' + $driver.State); sha256 = (Get-CommandHash $driver.PathName)
            })
        }
    }
}
Invoke-Part 'scheduled tasks' {
    foreach ($task in @(Get-ScheduledTask)) {
        if (-not $Microsoft -and $task.TaskPath -like '\Microsoft\*') { continue }
        $triggers = @($task.Triggers | Where-Object { $null -ne $_ } | ForEach-Object { $_.CimClass.CimClassName -replace '^MSFT_Task', '' }) -join ', '
        foreach ($action in @($task.Actions | Where-Object { $null -ne $_ })) {
            $command = $null
            if ($action.CimClass.CimClassName -eq 'MSFT_TaskExecAction') {
                $command = ([string]$action.Execute + ' ' + [string]$action.Arguments).Trim()
            } elseif ($action.CimClass.CimClassName -eq 'MSFT_TaskComHandlerAction') {
                $command = 'class ' + $action.ClassId + ' ' + [string]$action.Data
            } else {
                $command = $action.CimClass.CimClassName
            }
            $user = $task.Principal.UserId
            if ([string]::IsNullOrEmpty($user)) { $user = $task.Principal.GroupId }
            Write-Found 'task' ([ordered]@{
                place = ($task.TaskPath + $task.TaskName); name = $task.TaskName; command = $command; user = $user; state = [string]$task.State
                sha256 = (Get-CommandHash $command); triggers = $triggers; author = $task.Author; date = $task.Date
            })
        }
    }
}
Invoke-Part 'WMI subscriptions' {
    foreach ($filter in @(Get-CimInstance -Namespace 'root/subscription' -ClassName __EventFilter)) {
        Write-Found 'wmi-filter' ([ordered]@{
            place = $filter.EventNamespace; name = $filter.Name; command = $filter.Query; user = $null; state = $null; sha256 = $null
        })
    }
    foreach ($consumer in @(Get-CimInstance -Namespace 'root/subscription' -ClassName __EventConsumer)) {
        $command = ''
        foreach ($name in @('CommandLineTemplate', 'ExecutablePath', 'ScriptFileName', 'ScriptText')) {
            $property = $consumer.CimInstanceProperties[$name]
            if ($null -ne $property -and $null -ne $property.Value) { $command += $name + '=' + $property.Value + ' ' }
        }
        Write-Found 'wmi-consumer' ([ordered]@{
            place = $consumer.CimClass.CimClassName; name = $consumer.Name; command = $command.Trim(); user = $null; state = $null; sha256 = $null
        })
    }
    foreach ($binding in @(Get-CimInstance -Namespace 'root/subscription' -ClassName __FilterToConsumerBinding)) {
        Write-Found 'wmi-binding' ([ordered]@{
            place = $null; name = [string]$binding.Filter; command = [string]$binding.Consumer; user = $null; state = $null; sha256 = $null
        })
    }
}
Invoke-Part 'Run keys of the machine' {
    foreach ($base in @(($machine + $current), ($machine + $current32))) {
        foreach ($name in @('Run', 'RunOnce', 'RunServices', 'RunServicesOnce', 'Policies\Explorer\Run')) {
            Show-Values 'run' ($base + '\' + $name)
        }
    }
}
Invoke-Part 'keys of users' {
    $loaded = @{}
    foreach ($hive in @(Get-ChildItem -LiteralPath 'Registry::HKEY_USERS' -ErrorAction SilentlyContinue)) {
        $loaded[$hive.PSChildName] = $true
        $base = 'Registry::' + $hive.Name
        foreach ($name in @('Run', 'RunOnce', 'Policies\Explorer\Run')) {
            Show-Values 'run' ($base + $current + '\' + $name)
            Show-Values 'run' ($base + $current32 + '\' + $name)
        }
        foreach ($name in @('Shell', 'Userinit')) { Show-Value 'winlogon' ($base + $nt + '\Winlogon') $name }
        foreach ($name in @('Load', 'Run')) { Show-Value 'run' ($base + $nt + '\Windows') $name }
        Show-Value 'logon-script' ($base + '\Environment') 'UserInitMprLogonScript'
        Show-Value 'screen-saver' ($base + '\Control Panel\Desktop') 'SCRNSAVE.EXE'
        Show-Value 'command-processor' ($base + '\SOFTWARE\Microsoft\Command Processor') 'AutoRun'
    }
    foreach ($account in @(Get-CimInstance -ClassName Win32_UserProfile -Filter 'Special = FALSE')) {
        if (-not $loaded.ContainsKey($account.SID)) {
            Write-Found 'not-loaded' ([ordered]@{
                place = $account.LocalPath; name = $account.SID; command = $null; user = $null; state = $null; sha256 = $null
            })
        }
    }
}
Invoke-Part 'start-up folders' {
    $folders = @((Join-Path $env:ProgramData 'Microsoft\Windows\Start Menu\Programs\Startup'))
    foreach ($account in @(Get-CimInstance -ClassName Win32_UserProfile -Filter 'Special = FALSE')) {
        if (-not [string]::IsNullOrEmpty($account.LocalPath)) {
            $folders += (Join-Path $account.LocalPath 'AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup')
        }
    }
    foreach ($folder in $folders) {
        if (-not [System.IO.Directory]::Exists($folder)) { continue }
        foreach ($file in @(Get-ChildItem -LiteralPath $folder -Force -ErrorAction SilentlyContinue)) {
            if ($file.Name -eq 'desktop.ini') { continue }
            $sum = $null
            if ($Hash -and -not $file.PSIsContainer) {
                try { $sum = Get-Sha256 $file.FullName } catch { Write-Miss ($file.FullName + ': ' + $_.Exception.Message) }
            }
            Write-Found 'startup-folder' ([ordered]@{
                place = $file.FullName; name = $file.Name; command = $null; user = $null; state = (Format-Time $file.LastWriteTimeUtc); sha256 = $sum
            })
        }
    }
}
Invoke-Part 'keys of the machine' {
    foreach ($name in @('Shell', 'Userinit', 'Taskman', 'AppSetup', 'VmApplet', 'GinaDLL', 'mpnotify')) {
        Show-Value 'winlogon' ($machine + $nt + '\Winlogon') $name
    }
    Show-Below 'winlogon' ($machine + $nt + '\Winlogon\Notify') 'DllName'
    foreach ($base in @('\SOFTWARE\Microsoft\Windows NT\CurrentVersion', '\SOFTWARE\WOW6432Node\Microsoft\Windows NT\CurrentVersion')) {
        Show-Below 'debugger' ($machine + $base + '\Image File Execution Options') 'Debugger'
        Show-Below 'silent-exit' ($machine + $base + '\SilentProcessExit') 'MonitorProcess'
        foreach ($name in @('AppInit_DLLs', 'LoadAppInit_DLLs')) { Show-Value 'appinit' ($machine + $base + '\Windows') $name }
    }
    $control = $machine + '\SYSTEM\CurrentControlSet\Control'
    Show-Values 'appcert' ($control + '\Session Manager\AppCertDlls')
    foreach ($name in @('BootExecute', 'SetupExecute', 'Execute')) { Show-Value 'boot' ($control + '\Session Manager') $name }
    foreach ($name in @('Authentication Packages', 'Security Packages', 'Notification Packages')) {
        Show-Value 'lsa' ($control + '\Lsa') $name
    }
    Show-Value 'lsa' ($control + '\Lsa\OSConfig') 'Security Packages'
    Show-Value 'lsa' ($control + '\SecurityProviders') 'SecurityProviders'
    Show-Below 'print-monitor' ($control + '\Print\Monitors') 'Driver'
    Show-Below 'time-provider' ($machine + '\SYSTEM\CurrentControlSet\Services\W32Time\TimeProviders') 'DllName'
    Show-Value 'safe-boot' ($control + '\SafeBoot') 'AlternateShell'
    Show-Values 'netsh' ($machine + '\SOFTWARE\Microsoft\NetSh')
    Show-Value 'command-processor' ($machine + '\SOFTWARE\Microsoft\Command Processor') 'AutoRun'
    foreach ($base in @('\SOFTWARE\Microsoft\Active Setup\Installed Components', '\SOFTWARE\WOW6432Node\Microsoft\Active Setup\Installed Components')) {
        Show-Below 'active-setup' ($machine + $base) 'StubPath'
    }
}
Invoke-Part 'BITS jobs' {
    if ($null -ne (Get-Command -Name Get-BitsTransfer -ErrorAction SilentlyContinue)) {
        # Jobs of other users need administrator.
        $jobs = $null
        try { $jobs = @(Get-BitsTransfer -AllUsers) } catch { Write-Miss ('BITS jobs: ' + $_.Exception.Message); $jobs = @() }
        foreach ($job in $jobs) {
            $command = ''
            $line = $job.PSObject.Properties['NotifyCmdLine']
            if ($null -ne $line) { $command = @($line.Value) -join ' ' }
            $from = @($job.FileList | ForEach-Object { [string]$_.RemoteName + ' to ' + [string]$_.LocalName }) -join '; '
            Write-Found 'bits' ([ordered]@{
                place = $from; name = $job.DisplayName; command = $command; user = $job.OwnerAccount; state = [string]$job.JobState; sha256 = $null
            })
        }
    }
}
Complete-Script
