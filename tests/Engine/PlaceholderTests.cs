namespace DarkStorage.Engine.Tests;
